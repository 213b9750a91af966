// A request to a server by HTTP, and its answer as it comes. What is asked is in client.ts, and in first.ts, which is all
// that a page begins with.

import { type Place, placeText } from "./hash.ts";

/** fetch, or what stands for it: the data channel of WebRTC speaks the same HTTP. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Server {
  /** Without a slash at its end. */
  readonly origin: string;
  readonly fetch: Fetch;
}

/** The first server that is asked for a topic: others are asked when it has said nothing for so long, */
export const silentMillis = 1500;
/** and its answer is given up after so long, however much came. */
export const firstMillis = 10_000;

/** Sends a request: path without a slash before it. */
export async function ask({ origin, fetch }: Server, path: string, init: RequestInit): Promise<Response> {
  // No redirects: a stranger's server must not lead a page to another address.
  return fetch(`${origin}/${path}`, { ...init, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer" });
}

/** Asks for all that a server has of a topic. */
export function askFolder(server: Server, place: Place, signal: AbortSignal): Promise<Response> {
  return ask(server, placeText(place), { headers: { Accept: "application/vnd.ipld.car" }, signal });
}

/** The body as it comes. Who stops listening ends the transfer. Not every browser lets a stream be iterated. */
export async function* chunksOf({ body }: Response): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
