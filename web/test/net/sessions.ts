// Sessions of WebTransport as a test plays them: what no real server does can be done here. That the page and real ones
// understand each other is seen in a browser, by cmd/comntr's TestE2EPageOverWebTransport.

import type { Session, Sessions } from "../../src/net/webtransport.ts";
import { concat, fromUTF8, toHex, utf8 } from "../../src/protocol/bytes.ts";

export interface Head {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** A request as a server sees it. */
export interface Stream {
  readonly request: Promise<{ readonly head: Head; readonly body: Uint8Array }>;
  /** Resolves when the page has taken it. */
  say(...parts: readonly Uint8Array[]): Promise<void>;
  head(value: unknown): Promise<void>;
  end(): Promise<void>;
  reset(): Promise<void>;
  /** The page wants no more, and what it asks counts no more. */
  isStopped: boolean;
  isReset: boolean;
}

export interface Dialled {
  readonly url: string;
  readonly hashes: readonly string[];
  readonly streams: Stream[];
  isClosed: boolean;
  /** Ends it, as a server or a broken line does. */
  end(): void;
}

export interface Play {
  /** Opens a session, or not. */
  ready?(url: string, hashes: readonly string[]): Promise<unknown>;
  asked?(stream: Stream, url: string): unknown;
  /** A stream that takes nothing. */
  readonly isDeaf?: boolean;
}

/** The browser's class, and what was done with it. */
export function play({ ready = async () => undefined, asked, isDeaf = false }: Play): { readonly WebTransport: Sessions; readonly dialled: Dialled[] } {
  const dialled: Dialled[] = [];
  class Fake implements Session {
    readonly ready: Promise<unknown>;
    readonly closed: Promise<unknown>;
    readonly #made: Dialled;

    constructor(url: string, { serverCertificateHashes = [] }: ConstructorParameters<Sessions>[1]) {
      let end: () => void = () => undefined;
      this.closed = new Promise<void>((resolve) => (end = resolve));
      const hashes = serverCertificateHashes.map(({ value }) => toHex(value));
      this.ready = ready(url, hashes);
      this.#made = { url, hashes, streams: [], isClosed: false, end };
      dialled.push(this.#made);
    }

    async createBidirectionalStream(): ReturnType<Session["createBidirectionalStream"]> {
      if (this.#made.isClosed) throw new Error("closed");
      const { stream, ...pair } = made(isDeaf);
      this.#made.streams.push(stream);
      asked?.(stream, this.#made.url);
      return pair;
    }

    close(): void {
      this.#made.isClosed = true;
      this.#made.end();
    }
  }
  return { WebTransport: Fake, dialled };
}

function made(isDeaf: boolean): { stream: Stream; readable: ReadableStream<Uint8Array>; writable: WritableStream<Uint8Array> } {
  const { readable, writable: there } = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 1 }, { highWaterMark: 0 });
  const writer = there.getWriter();
  const parts: Uint8Array[] = [];
  let whole: (value: Awaited<Stream["request"]>) => void;
  const stream: Stream = {
    request: new Promise((resolve) => (whole = resolve)),
    async say(...bytes) {
      for (const each of bytes) await writer.write(each);
    },
    head(value) {
      const text = utf8(JSON.stringify(value));
      return stream.say(concat([Uint8Array.of(text.length >> 8, text.length & 255), text]));
    },
    end: () => writer.close(),
    reset: () => writer.abort(),
    isStopped: false,
    isReset: false,
  };
  writer.closed.catch(() => (stream.isStopped = true));
  const writable = new WritableStream<Uint8Array>({
    start: ({ signal }) => signal.addEventListener("abort", () => (stream.isReset = true)),
    write: (chunk) => (isDeaf ? new Promise(() => undefined) : void parts.push(chunk)),
    close() {
      const all = concat(parts);
      const end = 2 + ((all[0] as number) << 8) + (all[1] as number);
      whole({ head: JSON.parse(fromUTF8(all.subarray(2, end)) ?? "") as Head, body: all.slice(end) });
    },
  });
  return { stream, readable, writable };
}
