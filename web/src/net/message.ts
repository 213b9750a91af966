// What a carrier that is not the browser's own fetch carries: a request as it is written, an answer as the client reads
// it.

import type { Fetch } from "../protocol/client.ts";
import { Lie } from "../protocol/lie.ts";
import { Trouble } from "./reasons.ts";

/** Fields of a head, in either direction. */
export const maxFields = 64;

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

/** What breaks the protocol, in whichever way. */
export function odd(): Lie {
  return new Lie("what came is not the protocol");
}

/** A head's fields, as far as they are ones: what strangers say is anything. */
export function fieldsOf(all: readonly (readonly [name: string, text: unknown])[]): Fields {
  const isGood = ([name, text]: (typeof all)[number]): boolean => /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name) && typeof text === "string" && /^[^\0\r\n\u0100-\uffff]*$/.test(text);
  if (all.length > maxFields || !all.every(isGood)) throw odd();
  return Object.fromEntries(all) as Fields;
}

/** An answer whose body is taken only as fast as it is read: take gives the next of it, undefined at its end. */
export function answered(status: number, { "content-encoding": encoding, ...headers }: Fields, take: () => Promise<Uint8Array | undefined>, giveUp: (reason: Trouble) => void): Response {
  if (isBare(status)) return new Response(null, { status, headers });
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const piece = await take();
        if (piece === undefined) controller.close();
        else controller.enqueue(piece as Uint8Array<ArrayBuffer>);
      },
      cancel: () => giveUp(unread()),
    },
    { highWaterMark: 0 },
  );
  if (encoding === "gzip") return new Response(body.pipeThrough(new DecompressionStream("gzip")), { status, headers });
  return new Response(body, { status, headers: encoding === undefined ? headers : { ...headers, "content-encoding": encoding } });
}

/** Why an answer ends that nobody reads on. */
export function unread(): Trouble {
  return new Trouble("broke");
}
