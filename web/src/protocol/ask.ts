// A request to a server by HTTP, and its answer as it comes. What is asked is in client.ts, and in first.ts, which is all
// that a page begins with.

/** fetch, or what stands for it: the data channel of WebRTC speaks the same HTTP. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export interface Server {
  /** Without a slash at its end. */
  readonly origin: string;
  readonly fetch: Fetch;
}

/** Sends a request: path without a slash before it. */
export async function ask({ origin, fetch }: Server, path: string, init: RequestInit): Promise<Response> {
  // No redirects: a stranger's server must not lead a page to another address.
  return fetch(`${origin}/${path}`, { ...init, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer" });
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
