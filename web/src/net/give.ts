// The other end of channel.ts: what this page answers another reader's page. It has one folder, as a server gave it, and
// says nothing else; it takes nothing, and gives no more than its account allows. All that asks is a stranger.

import { concat, utf8 } from "../protocol/bytes.ts";
import { type Hash, type Place, placeText } from "../protocol/hash.ts";
import { openWire, type Port, type Said } from "./channel.ts";
import { odd } from "./message.ts";
import { encode, type FrameType, frameWindow, greeting, handshake, maxAsk, maxFrameData, readHead, writeFrame } from "./wire.ts";

/** A folder in its CAR, compressed: what is larger is not offered. Some 30,000 comments. */
export const maxGiven = 8_000_000;
/** What one reader is given over one connection, and all are in an hour. */
export const maxOfReader = 16_000_000;
export const maxOfAll = 64_000_000;
/** An answer counts so much besides its body. */
const perAnswer = 512;
/** Requests of one connection, answers that it gets at once, and frames between two requests: an asker needs some 40. */
export const maxRequests = 256;
export const maxAtOnce = 2;
export const maxFrames = 1024;
/** Bytes that wait for one reader when he says a word: his answers, and one that he gave up. Who has more takes nothing. */
export const maxWaiting = (maxAtOnce + 1) * frameWindow;
/** Between requests, and before the first one. */
export const idleMillis = 120_000;

const hourMillis = 3_600_000;

/** What was given in this hour. */
export interface Account {
  readonly given: number;
  /** Takes so many bytes, if they are left. */
  spend(bytes: number): boolean;
}

export function openAccount(now: () => number): Account {
  let began = now();
  let given = 0;
  return {
    get given() {
      if (now() >= began + hourMillis) [began, given] = [now(), 0];
      return given;
    },
    spend(bytes) {
      if (this.given + bytes > maxOfAll) return false;
      given += bytes;
      return true;
    },
  };
}

const car = "application/vnd.ipld.car";

export interface Offer {
  readonly id: string;
  /** With gzip: each asker takes that. */
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
  let spent = 0;
  let asked = Date.now();
  let isOver = false;
  let timer = setTimeout(close, idleMillis);

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
    if (number === 0 || ++frames > maxFrames || port.waiting() > maxWaiting || (type !== "request" && request > last)) throw odd();
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
    const refuse = (status: number, code: string, detail: string, retryAfter?: number): void =>
      reply(request, status, "application/problem+json", utf8(JSON.stringify({ type: "about:blank", status, code, detail, retryAfter })));
    if (path !== `/${placeText(place)}`) return refuse(404, "not-found", "a reader's page: it has one topic's folder");
    if (method !== "GET") return refuse(405, "method", "a reader's page and no server: post to a server");
    if (going.size + begun >= maxAtOnce) return refuse(503, "busy", "too much at once", 5);
    begun++;
    const now = await offer().catch(() => undefined);
    begun--;
    if (isOver) return;
    if (now === undefined) return refuse(503, "busy", "this page has not all of the topic now", 30);
    const isCar = headers["accept"] === car;
    const body = isCar ? now.car : utf8(`${now.id}\n`);
    if ((spent += body.length + perAnswer) > maxOfReader || !spend(body.length + perAnswer)) return refuse(429, "rate-limited", "this page gives no more in this hour", 600);
    reply(request, 200, isCar ? car : "text/plain", body, isCar ? { "content-encoding": "gzip" } : {});
  }

  function reply(request: number, status: number, type: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): void {
    frame("answer", request, encode({ headers: { ...headers, "content-type": type }, status }));
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
