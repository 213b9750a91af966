// Servers reached by HTTP, as browsers do it.

import type { Fetch } from "../protocol/client.ts";
import type { Line } from "./servers.ts";

export function httpLine(origin: string, fetch: Fetch): Line {
  return { carrier: "http", server: { origin, fetch } };
}
