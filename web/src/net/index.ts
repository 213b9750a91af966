// The page's network.

import type { Config } from "../config.ts";
import { createHttpNet } from "./http-only.ts";
import type { Net } from "./net.ts";

export function createNet(config: Config): Net {
  return createHttpNet(config, location.origin, new URLSearchParams(location.search).getAll("server").slice(0, 8));
}
