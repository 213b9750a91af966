// Asking a server by HTTP: SPEC.md, section 4. Nothing that it answers is taken for longer than its bound. How long to wait
// is the caller's: each call takes an AbortSignal. What else is asked than folders is in client.ts.

import { concat } from "./bytes.ts";
import { type Folder, openFolder } from "./folder.ts";
import { type Place, placeText } from "./hash.ts";
import { Lie } from "./lie.ts";
import { maxProblem, parseProblem } from "./problem.ts";

/** fetch, or what stands for it: the data channel of WebRTC speaks the same HTTP. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Server {
  /** Without a slash at its end. */
  readonly origin: string;
  readonly fetch: Fetch;
}

/** A topic's folder, whole and as it is now. Undefined if there is no such topic yet. */
export async function getFolder(server: Server, place: Place, signal: AbortSignal): Promise<Folder | undefined> {
  const response = await ask(server, placeText(place), { headers: { Accept: "application/vnd.ipld.car" }, signal });
  if (await isUnknown(response)) return undefined;
  return openFolder(chunksOf(await accepted(response)));
}

/** Sends a request: path without a slash before it. */
export async function ask({ origin, fetch }: Server, path: string, init: RequestInit): Promise<Response> {
  // No redirects: a stranger's server must not lead a page to another address.
  return fetch(`${origin}/${path}`, { ...init, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer" });
}

/** The response, if it is no refusal. */
export async function accepted(response: Response): Promise<Response> {
  if (response.ok) return response;
  // A refusal that cannot be read is one all the same.
  const body = await readBody(response, maxProblem).catch(() => new Uint8Array(0));
  throw parseProblem(response.status, body, response.headers.get("Retry-After"));
}

export async function isUnknown(response: Response): Promise<boolean> {
  if (response.status !== 404) return false;
  await response.body?.cancel();
  return true;
}

/** A body of at most so many bytes. */
export async function readBody(response: Response, max: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of chunksOf(response)) {
    total += chunk.length;
    if (total > max) throw new Lie(`an answer of more than ${max} bytes`);
    parts.push(chunk);
  }
  return concat(parts);
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
