// Servers by WebTransport: a stream for each request, which has a head and a body in either direction. SPEC.md, section
// 4. A certificate's hash, learned from a hello that counts, stands for its key: so a page on https reaches a server that
// has an address and no name. What a server sends is bounded: a head by its length, a body by what is read of it.

import { concat, fromHex, fromUTF8, urlOf, utf8 } from "../protocol/bytes.ts";
import type { Fetch } from "../protocol/client.ts";
import { fieldsOf, readFields } from "../protocol/fields.ts";
import type { Hello } from "../protocol/hello.ts";
import { Lie, must } from "../protocol/lie.ts";
import { atEnd, race, until } from "./deadline.ts";
import { isPrivatePage, mayDial } from "./guard.ts";
import { answered, asked, fieldsOf as readHeaders, isBare, odd, unread } from "./message.ts";
import { tooEarly, Trouble } from "./reasons.ts";
import type { Arrived, Line, Pins } from "./servers.ts";

/** A head, in either direction. */
export const maxHead = 16 << 10;
export { maxFields } from "./message.ts";
/** A request's body. */
export const maxBody = 64 << 10;
/** Streams at once: beyond the server's count browsers fail, so requests wait here. */
export const maxStreams = 64;

/** Of the hosts that a server says are its own, so many are tried, each so long after the one before. */
export const maxHosts = 2;
const headStartMillis = 400;
/** Certificates of one server, and how long one may be valid: browsers pin no other. */
const maxCerts = 4;
const maxCertMillis = 14 * 24 * 60 * 60 * 1000;

/** What of WebTransport is used. */
export interface Session {
  readonly ready: Promise<unknown>;
  readonly closed: Promise<unknown>;
  createBidirectionalStream(): Promise<{ readonly readable: ReadableStream<Uint8Array>; readonly writable: WritableStream<Uint8Array> }>;
  close(): void;
}

export type Sessions = new (url: string, options: { serverCertificateHashes?: { algorithm: "sha-256"; value: Uint8Array<ArrayBuffer> }[] }) => Session;

/** What a hello says of WebTransport. */
interface Spoken {
  readonly port: number;
  /** Of the certificates that count, each until some time. None: those that browsers trust. */
  readonly hashes: readonly { readonly sha256: string; readonly to: number }[];
}

/** Reads what a hello says of WebTransport, or what an earlier visit left of it. */
export function readPins(value: unknown): Spoken {
  const { port, hashes } = fieldsOf(value);
  must(typeof port === "number" && Number.isInteger(port) && port > 0 && port <= 65535, "WebTransport");
  must(Array.isArray(hashes) && hashes.length <= maxCerts, "WebTransport");
  return {
    port,
    hashes: hashes.map((each: unknown) => {
      const { sha256, ...times } = fieldsOf(each);
      const [from, to] = [times["from"], times["to"]].map((time) => (typeof time === "string" ? Date.parse(time) : Number.NaN)) as [number, number];
      must(typeof sha256 === "string" && /^[0-9a-f]{64}$/.test(sha256) && to > from && to - from <= maxCertMillis, "WebTransport");
      return { sha256, to };
    }),
  };
}

/**
 * Where a server's sessions are: at the host of one of its origins, at its port for them. Undefined where this page may
 * not dial that: what is not typed is a stranger's word.
 */
export function sessionAt(page: URL | undefined, origin: string, port: number, typed: string | undefined): string | undefined {
  const host = urlOf(origin)?.hostname;
  const at = host === undefined ? undefined : urlOf(`https://${host}:${port}`);
  if (at === undefined) return undefined;
  return origin === typed || isPrivatePage(page) || mayDial(at) ? at.origin : undefined;
}

export interface Surroundings {
  readonly page: URL | undefined;
  readonly WebTransport: Sessions;
  hello(line: Line, named: boolean, signal: AbortSignal): Promise<Hello>;
  now(): number;
}

/**
 * Reaches the server of some pins at the host of one of its origins, of which typed is the one that a person or the site
 * named. A certificate that is not the server's any more fails as does a server that is away: browsers do not say.
 */
export async function reach({ page, WebTransport, hello, now }: Surroundings, { key, at }: Pins, origins: readonly string[], typed: string | undefined, signal: AbortSignal): Promise<Arrived> {
  const { port, hashes } = readPins(at);
  const good = hashes.filter(({ to }) => to > now()).map(({ sha256 }) => sha256);
  if (good.length === 0 && hashes.length > 0) throw new Trouble("expired");
  // By host, the first origin of each.
  const places = new Map<string, string>();
  for (const origin of origins) {
    const place = sessionAt(page, origin, port, typed);
    if (place !== undefined && !places.has(place) && places.size < maxHosts) places.set(place, origin);
  }
  if (places.size === 0) throw new Trouble("private-address");
  const ways = [...places].map(([place, origin]) => async (limit: AbortSignal): Promise<Arrived> => {
    const line = await openSession(place, good, WebTransport, limit);
    try {
      // Whoever shows a certificate of a hash in a hello is who signed that hello, whatever the address is.
      const proof = await until(limit, hello(line, good.length > 0, limit));
      if (proof.key !== key) throw new Trouble("no-proof", "another server than the one that was known there");
      return { line, hello: proof, origin };
    } catch (error) {
      line.close?.();
      throw error;
    }
  });
  return race(ways, headStartMillis, signal, ({ line }) => line.close?.());
}

/** Opens a session. hashes: of the certificates that count, 64 hex digits each; none: those that browsers trust. */
export async function openSession(origin: string, hashes: readonly string[], WebTransport: Sessions, signal: AbortSignal): Promise<Line> {
  signal.throwIfAborted();
  const pins = hashes.map((hash) => ({ algorithm: "sha-256" as const, value: fromHex(hash) }));
  const session = new WebTransport(`${origin}/webtransport`, pins.length === 0 ? {} : { serverCertificateHashes: pins });
  const closed = new AbortController();
  const close = (reason: unknown = new Trouble("broke")): void => {
    closed.abort(reason);
    session.close();
  };
  const over = (): void => close();
  session.closed.then(over, over);
  try {
    await until(signal, session.ready);
  } catch (error) {
    session.ready.catch(() => undefined);
    session.close();
    // Browsers do not say why: nothing answers there, or what answers has another certificate.
    throw signal.aborted ? error : new Trouble("unreachable");
  }
  return { carrier: "webtransport", server: { origin, fetch: fetchBy(session, closed.signal, close) }, closed: closed.signal, close: over };
}

function fetchBy(session: Session, closed: AbortSignal, close: (reason: unknown) => void): Fetch {
  const enter = turnstile(maxStreams);

  return async (url, init) => {
    const { signal } = init;
    const { body: sent, ...fields } = await asked(url, init, maxBody);
    const head = utf8(JSON.stringify(fields));
    if (head.length > maxHead) throw new RangeError(`a head of ${head.length} bytes; ${maxHead} is the limit`);

    const end = new AbortController();
    const stop = (reason: unknown): void => end.abort(reason);
    const forgetClosed = atEnd(closed, () => stop(closed.reason));
    const forgetSignal = atEnd(signal ?? undefined, () => stop(signal?.reason));
    let leave = (): void => undefined;
    /** The stream's place is free, and nobody waits for a signal any more. */
    const done = (): void => {
      forgetClosed();
      forgetSignal();
      leave();
    };
    try {
      leave = await enter(end.signal);
      const { readable, writable } = await opened(session, end.signal);
      const writer = writable.getWriter();
      const reader = readable.getReader();
      const giveUp = (): void => {
        // RESET_STREAM and STOP_SENDING: the server is to stop, too.
        writer.abort(end.signal.reason).catch(() => undefined);
        reader.cancel(end.signal.reason).catch(() => undefined);
        done();
      };
      atEnd(end.signal, giveUp);
      // Who has answered may stop reading, which is no fault. That the stream is gone is seen where its answer is read.
      writer.write(concat([Uint8Array.of(head.length >> 8, head.length & 255), head, sent])).catch(() => undefined);
      writer.close().catch(() => undefined);
      return await answerOf(pieces(reader, end.signal), stop, () => {
        // Whoever has answered needs no more of the request.
        writer.abort().catch(() => undefined);
        done();
      });
    } catch (error) {
      // A stream that fails ends with its request; who sends nonsense is asked no more.
      stop(error);
      done();
      if (error instanceof Lie) close(error);
      throw error;
    }
  };
}

async function opened(session: Session, signal: AbortSignal): ReturnType<Session["createBidirectionalStream"]> {
  const stream = session.createBidirectionalStream();
  try {
    return await until(signal, stream);
  } catch (error) {
    // One that comes too late is of no use.
    stream.then(({ readable, writable }) => Promise.all([readable.cancel(), writable.abort()])).catch(() => undefined);
    throw signal.aborted ? error : new Trouble("broke");
  }
}

/** A stream's bytes: `take` waits for the next ones, undefined at the stream's end. */
function pieces(reader: ReadableStreamDefaultReader<Uint8Array>, signal: AbortSignal): () => Promise<Uint8Array | undefined> {
  return async () => {
    try {
      return (await until(signal, reader.read())).value;
    } catch {
      throw signal.aborted ? signal.reason : tooEarly();
    }
  };
}

/** stop ends the stream, if it is not at its end; done is called when it is. */
async function answerOf(take: () => Promise<Uint8Array | undefined>, stop: (reason: unknown) => void, done: () => void): Promise<Response> {
  let have: Uint8Array = new Uint8Array(0);
  const upTo = async (size: number): Promise<void> => {
    while (have.length < size) {
      const piece = await take();
      if (piece === undefined) throw tooEarly();
      have = concat([have, piece]);
    }
  };
  await upTo(2);
  const size = ((have[0] as number) << 8) | (have[1] as number);
  if (size > maxHead) throw odd();
  await upTo(2 + size);
  const { status, headers } = readHead(have.subarray(2, 2 + size));
  if (isBare(status)) stop(unread());
  let first = have.length > 2 + size ? have.slice(2 + size) : undefined;
  // QUIC's own windows hold back what is not taken.
  const next = async (): Promise<Uint8Array | undefined> => {
    const piece = first ?? (await take());
    first = undefined;
    if (piece === undefined) done();
    return piece;
  };
  return answered(status, headers, () => next().catch((error: unknown) => {
    stop(error);
    throw error;
  }), stop);
}

function readHead(bytes: Uint8Array): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  const { status, headers = {} } = readFields(fromUTF8(bytes));
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599 || typeof headers !== "object" || headers === null) throw odd();
  return { status: status as number, headers: readHeaders(Object.entries(headers as Record<string, unknown>)) };
}

/** So many are inside at once; the others wait, in order. Entering gives what leaves. */
function turnstile(places: number): (signal: AbortSignal) => Promise<() => void> {
  const inside = new Set<() => void>();
  const waiting: (() => void)[] = [];
  return async (signal) => {
    do {
      signal.throwIfAborted();
      // All look again when one leaves: of those that wait some have given up.
      if (inside.size >= places) await until(signal, new Promise<void>((resolve) => waiting.push(resolve)));
    } while (inside.size >= places);
    const leave = (): void => {
      inside.delete(leave);
      for (const look of waiting.splice(0)) look();
    };
    inside.add(leave);
    return leave;
  };
}
