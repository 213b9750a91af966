// The other end of channel.ts: what this page answers another reader's page. It has one folder, as a server gave it, and
// says nothing else; it takes nothing, and gives no more than its account allows. All that asks is a stranger.

import { concat, utf8 } from "../protocol/bytes.ts";
import { type Hash, type Place, placeText } from "../protocol/hash.ts";
import { openWire, type Port, type Said } from "./channel.ts";
import { encode, type FrameType, frameWindow, greeting, handshake, maxAsk, maxFrameData, odd, readHead, writeFrame } from "./wire.ts";

/** A folder in its CAR, compressed: what is larger is not offered. Some 30,000 comments. */
export const maxGiven = 8 << 20;
/** What one address is given in an hour, and all are. */
export const maxOfReader = 16 << 20;
export const maxOfAll = 64 << 20;
/** Addresses that are counted one by one. */
const maxCounted = 1024;
/** An answer counts so much besides its body. */
const perAnswer = 512;
/** Requests of one connection, answers that it gets at once, and frames between two requests: an asker needs some 40. */
export const maxRequests = 256;
export const maxAtOnce = 2;
export const maxFrames = 1024;
/** From an open channel to the greeting, and between requests. */
export const greetMillis = 30_000;
export const idleMillis = 120_000;

const hourMillis = 3_600_000;

/** What was given in this hour. */
export interface Account {
  readonly given: number;
  /** Takes so many bytes, if they are left: of an address, where it is known, and of all. */
  spend(bytes: number, who: string | undefined): boolean;
}

export function openAccount(now: () => number): Account {
  let began = now();
  let given = 0;
  const of = new Map<string, number>();
  function turn(): void {
    if (now() - began < hourMillis) return;
    began = now();
    given = 0;
    of.clear();
  }
  return {
    get given() {
      turn();
      return given;
    },
    spend(bytes, who = "") {
      turn();
      const had = of.get(who) ?? 0;
      if (given + bytes > maxOfAll || (who !== "" && (had + bytes > maxOfReader || (had === 0 && of.size >= maxCounted)))) return false;
      given += bytes;
      of.set(who, had + bytes);
      return true;
    },
  };
}

export interface Offer {
  readonly id: string;
  /** With gzip. */
  readonly car: Uint8Array;
}

export interface GiveHost {
  readonly place: Place;
  /** What there is to give now. */
  offer(): Promise<Offer | undefined>;
  spend(bytes: number): boolean;
  ended(): void;
}

/** Answers on a port. Returns what ends it, and since when it was not asked. */
export function give(port: Port, infohash: Hash, peerId: Uint8Array, { place, offer, spend, ended }: GiveHost): { close(): void; readonly asked: number } {
  /** Bodies that are under way: what is left of each, and how much of it may be sent. */
  const going = new Map<number, { rest: Uint8Array; window: number }>();
  let number = 0;
  let last = 0;
  let requests = 0;
  let frames = 0;
  let begun = 0;
  let asked = Date.now();
  let isOver = false;
  let timer = setTimeout(close, greetMillis);

  function close(): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    going.clear();
    port.close();
    ended();
  }

  function hear(said: Said): void {
    if (isOver) return;
    if ("greeting" in said) {
      if (number !== 0) return;
      number = said.greeting.extension;
      if (number === 0) return close();
      wire.send(concat([handshake(infohash, peerId), greeting()]));
      return;
    }
    const { type, request, payload } = said.frame;
    if (number === 0 || ++frames > maxFrames || (type !== "request" && request > last)) throw odd();
    const body = going.get(request);
    switch (type) {
      case "request":
        if (request <= last || ++requests > maxRequests) throw odd();
        last = request;
        frames = 0;
        asked = Date.now();
        clearTimeout(timer);
        timer = setTimeout(close, idleMillis);
        answer(request, payload).catch(close);
        return;
      case "credit":
        // No more than this is ever on its way, whatever is allowed.
        if (body !== undefined) body.window = Math.min(body.window + new DataView(payload.buffer, payload.byteOffset).getUint32(0), frameWindow);
        send(request);
        return;
      case "cancel":
        going.delete(request);
        return;
      case "data":
        // Of a body that nobody takes.
        return;
      default:
        throw odd();
    }
  }

  async function answer(request: number, payload: Uint8Array): Promise<void> {
    const { method, path, headers } = readHead(payload);
    const refuse = (status: number, code: string, detail: string, retryAfter?: number): void => {
      reply(request, status, { "content-type": "application/problem+json" }, utf8(JSON.stringify({ type: "about:blank", status, code, detail, retryAfter })));
    };
    if (path !== `/${placeText(place)}`) return refuse(404, "not-found", "this is a reader's page: it has one topic's folder and nothing else");
    if (method !== "GET") return refuse(405, "method", "this is a reader's page and no server: it takes nothing. Post to a server");
    const wantsCar = headers["accept"]?.includes("application/vnd.ipld.car") === true;
    if (wantsCar && headers["accept-encoding"]?.includes("gzip") !== true) return refuse(406, "not-acceptable", "this page gives a CAR with gzip alone");
    if (going.size + begun >= maxAtOnce) return refuse(503, "busy", "this page gives that already", 5);
    begun++;
    const now = await offer().catch(() => undefined);
    begun--;
    if (isOver) return;
    if (now === undefined) return refuse(503, "busy", "this page has not got all of the topic now", 30);
    const etag = wantsCar ? `W/"${now.id}.car"` : `"${now.id}"`;
    if (headers["if-none-match"] === etag) return reply(request, 304, { etag });
    const body = wantsCar ? now.car : utf8(`${now.id}\n`);
    if (!spend(body.length + perAnswer)) return refuse(429, "rate-limited", "this page gives no more in this hour: ask another one", 600);
    if (!wantsCar) return reply(request, 200, { etag, "content-type": "text/plain; charset=utf-8" }, body);
    reply(request, 200, { etag, "content-type": "application/vnd.ipld.car; version=1; order=dfs; dups=n", "content-encoding": "gzip" }, body);
  }

  function reply(request: number, status: number, headers: Readonly<Record<string, string>>, body: Uint8Array = new Uint8Array(0)): void {
    frame("answer", request, encode({ headers, status }));
    going.set(request, { rest: body, window: frameWindow });
    send(request);
  }

  function send(request: number): void {
    const body = going.get(request);
    if (body === undefined) return;
    while (body.rest.length > 0 && body.window > 0) {
      const part = body.rest.subarray(0, Math.min(maxFrameData, body.window));
      body.window -= part.length;
      body.rest = body.rest.subarray(part.length);
      frame("data", request, part);
    }
    if (body.rest.length > 0) return;
    going.delete(request);
    frame("end", request);
  }

  const frame = (type: FrameType, request: number, payload: Uint8Array = new Uint8Array(0)): void => wire.send(writeFrame({ type, request, payload }, number));
  const wire = openWire(port, infohash, maxAsk, hear, close);
  return {
    close,
    get asked() {
      return asked;
    },
  };
}
