// What a carrier that is not the browser's own fetch carries: a request as it is written, an answer as the client reads
// it.

import type { Fetch } from "../protocol/client.ts";

type Fields = Readonly<Record<string, string>>;

export interface Asked {
  readonly method: string;
  /** With a slash before it, and the query behind. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Fields;
  readonly body: Uint8Array;
}

/** A request of at most so many bytes of body. */
export async function asked(...[url, { method = "GET", headers, body }, most]: [...Parameters<Fetch>, most: number]): Promise<Asked> {
  const { pathname, search } = new URL(url);
  const fields = Object.fromEntries(new Headers(headers));
  // No other encoding is known to every browser.
  if (method === "GET" && typeof DecompressionStream === "function" && fields["accept"] !== "text/event-stream") fields["accept-encoding"] = "gzip";
  const bytes = body === null || body === undefined ? new Uint8Array(0) : new Uint8Array(await new Response(body).arrayBuffer());
  if (bytes.length > most) throw new RangeError(`a body of ${bytes.length} bytes; ${most} is the limit`);
  return { method, path: pathname + search, headers: fields, body: bytes };
}

/** Statuses of answers that have no body. */
export function isBare(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

export function answered(status: number, { "content-encoding": encoding, ...headers }: Fields, body: ReadableStream<Uint8Array<ArrayBuffer>> | null): Response {
  if (encoding === undefined || body === null) return new Response(body, { status, headers });
  if (encoding === "gzip") return new Response(body.pipeThrough(new DecompressionStream("gzip")), { status, headers });
  return new Response(body, { status, headers: { ...headers, "content-encoding": encoding } });
}
