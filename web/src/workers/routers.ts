// Routers (delegated routing v1, specs.ipfs.tech): over HTTP they say which nodes of the IPFS network have a block.

import { within } from "../net/deadline.ts";
import { fromUTF8 } from "../protocol/bytes.ts";
import type { Fetch } from "../protocol/ask.ts";
import { readBody } from "../protocol/client.ts";

/** An answer, the nodes taken of it, and the addresses of each. */
export const maxAnswer = 1 << 18;
export const maxProviders = 16;
export const maxAddresses = 16;
const routerMillis = 10_000;

/** Multiaddrs of nodes that have a block, each with its peer id at the end. They are a stranger's word. */
export async function findNodes(router: string, cid: string, fetch: Fetch, parent: AbortSignal): Promise<string[]> {
  return within(parent, routerMillis, async (signal) => {
    const response = await fetch(`${router}/routing/v1/providers/${cid}`, {
      headers: { Accept: "application/json" }, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer", signal,
    });
    return response.ok ? readProviders(fromUTF8(await readBody(response, maxAnswer)) ?? "") : [];
  });
}

export function readProviders(text: string): string[] {
  let list: unknown;
  try {
    list = (JSON.parse(text) as { Providers?: unknown } | null)?.Providers;
  } catch {
    // Below.
  }
  if (!Array.isArray(list)) return [];
  return list.slice(0, maxProviders).flatMap((each: unknown) => {
    const { ID, Addrs } = (typeof each === "object" && each !== null ? each : {}) as Record<string, unknown>;
    if (typeof ID !== "string" || !Array.isArray(Addrs)) return [];
    return Addrs.slice(0, maxAddresses)
      .filter((address) => typeof address === "string")
      .map((address) => (address.endsWith(`/p2p/${ID}`) ? address : `${address}/p2p/${ID}`));
  });
}
