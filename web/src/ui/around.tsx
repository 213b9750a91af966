// A sentence in which something is drawn and not only said.

import type { ComponentChild, VNode } from "preact";

export function around(say: (what: string) => string, what: ComponentChild): VNode {
  const [before = "", after = ""] = say("\0").split("\0");
  return <>{before}{what}{after}</>;
}
