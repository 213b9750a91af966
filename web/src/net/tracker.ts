// A WebTorrent tracker, over a WebSocket: it passes offers on to who announced the same infohash, and their answers
// back. Of a community's swarm a page is a peer that has nothing; servers are the seeds. Of a topic's, pages are (pages.ts).
// Everything that comes is a stranger's.

import { fromHex } from "../protocol/bytes.ts";
import { fieldsOf, readFields } from "../protocol/fields.ts";
import type { Hash } from "../protocol/hash.ts";
import { about } from "./deadline.ts";
import type { TrackerView } from "./net.ts";
import type { TrackerReason } from "./reasons.ts";
import { toBinary } from "./wire.ts";

/** A message of a tracker, in characters. */
export const maxMessage = 64 << 10;
/** A session description, as trackers take it. */
export const maxSDP = 16 << 10;
/** An offer's id: what is longer is not sent back. */
export const maxId = 64;
/** Messages of one connection between two announces: offers of others are among them. */
export const maxMessages = 200;
const openMillis = 10_000;
/** Until a tracker says how often it wants to hear, and within what that counts, in seconds. */
const untoldInterval = 120;
const minInterval = 30;
const maxInterval = 900;
/** After a connection that came to nothing, doubling. */
const firstReconnect = 5000;
const lastReconnect = 10 * 60_000;
/** While no server was found: announce again so soon, doubling up to the tracker's interval. */
const firstAgain = 15_000;
/** Whatever happens, not more often. */
const leastAgain = 4000;

export interface Description {
  readonly type: "offer" | "answer";
  readonly sdp: string;
}

export interface Offer {
  /** 20 characters or so, by which the answer is known. */
  readonly id: string;
  readonly sdp: string;
}

export interface Answer {
  readonly infohash: Hash;
  readonly id: string;
  readonly sdp: string;
}

/** An offer of another's, and what its answer goes back by. */
export interface Offered extends Answer {
  readonly from: string;
}

/** What an announce says. peerId: 20 bytes. left 0: a seed, to whom the others' offers go. */
export function announcement(infohash: Hash, peerId: Uint8Array, offers: readonly Offer[], event?: "started" | "stopped", left = 1): string {
  return JSON.stringify({
    action: "announce",
    info_hash: toBinary(fromHex(infohash)),
    peer_id: toBinary(peerId),
    event,
    uploaded: 0,
    downloaded: 0,
    left,
    numwant: offers.length,
    offers: offers.map(({ id, sdp }) => ({ offer_id: id, offer: { type: "offer", sdp } })),
  });
}

export interface Told {
  readonly interval?: number;
  readonly failure?: string;
  readonly answer?: Answer;
  readonly offer?: Offered;
}

/** Reads what a tracker sent; undefined where it is nothing of use. */
export function readTold(text: unknown, joined: ReadonlyMap<string, Hash>): Told | undefined {
  if (typeof text !== "string" || text.length > maxMessage) return undefined;
  const { action, info_hash: binary, interval, answer, offer, offer_id: id, peer_id: from, "failure reason": failure } = readFields(text);
  if (typeof failure === "string") return { failure: failure.slice(0, 200) };
  const infohash = typeof binary === "string" ? joined.get(binary) : undefined;
  if (infohash === undefined || (action !== undefined && action !== "announce")) return undefined;
  const told = answer ?? offer;
  if (told instanceof Object) {
    const { type, sdp } = fieldsOf(told);
    if (typeof sdp !== "string" || sdp.length > maxSDP || typeof id !== "string") return undefined;
    if (told === answer) return type === "answer" ? { answer: { infohash, id, sdp } } : undefined;
    return type === "offer" && id.length <= maxId && typeof from === "string" && from.length === 20 ? { offer: { infohash, id, sdp, from } } : undefined;
  }
  return typeof interval === "number" && interval > 0 ? { interval } : undefined;
}

export interface Seed {
  gives(): boolean;
  answer(offer: Offered): Promise<string | undefined>;
}

export interface TrackerHost {
  readonly WebSocket: new (url: string) => WebSocket;
  readonly peerId: Uint8Array;
  /** Makes offers to announce. None where enough servers are known. */
  offers(infohash: Hash): Promise<readonly Offer[]>;
  answered(answer: Answer): void;
  /** Of who has something to give: whether that is so now, and the answer to an offer. */
  readonly seed: Seed | undefined;
  changed(): void;
  /** It failed: another one may be better. */
  failed(): void;
  /** Why it cannot be asked at all. */
  readonly forbidden: TrackerReason | undefined;
}

export interface Tracker {
  join(infohash: Hash): void;
  /** Looks again whether it is needed. */
  look(isNeeded: boolean): void;
  /** Announces soon, not only when it is time. */
  again(): void;
  /** A server was found by it. */
  found(): void;
  /** An answer came by it and led nowhere. */
  lost(): void;
  view(): TrackerView;
  /** How often it failed since it last answered. */
  failures(): number;
  close(): void;
}

export function openTracker(url: string, host: TrackerHost): Tracker {
  const joined = new Map<string, Hash>();
  let socket: WebSocket | undefined;
  let state: TrackerView["state"] = host.forbidden === undefined ? "unused" : "failed";
  let reason: { readonly code: TrackerReason; readonly detail: string } | undefined = host.forbidden && { code: host.forbidden, detail: "" };
  let found = 0;
  let interval = untoldInterval;
  let messages = 0;
  let tries = 0;
  let rounds = 0;
  let isNeeded = false;
  let announced = 0;
  /** Not connected to before. */
  let next = 0;
  let isClosed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function set(next: TrackerView["state"], why?: { readonly code: TrackerReason; readonly detail: string }): void {
    state = next;
    reason = why;
    host.changed();
  }

  function connect(): void {
    clearTimeout(timer);
    set("asking", reason);
    let made: WebSocket;
    try {
      made = new host.WebSocket(url);
    } catch {
      return failed(undefined, "bad-address");
    }
    socket = made;
    timer = setTimeout(() => failed(made, "timeout"), openMillis);
    made.onopen = () => {
      clearTimeout(timer);
      void announce("started");
    };
    made.onmessage = ({ data }: MessageEvent) => {
      if (socket !== made) return;
      if (++messages > maxMessages) return failed(made, "bad-answer");
      hear(data);
    };
    made.onerror = () => failed(made, "unreachable");
    made.onclose = () => failed(made, "unreachable");
  }

  function hear(data: unknown): void {
    const told = readTold(data, joined);
    if (told?.failure !== undefined) return set("failed", { code: "refused", detail: told.failure });
    if (told === undefined) return;
    if (told.interval !== undefined) interval = Math.min(Math.max(told.interval, minInterval), maxInterval);
    if (state !== "working") set("working", reason);
    tries = 0;
    if (told.answer !== undefined) host.answered(told.answer);
    if (told.offer !== undefined) void answerTo(told.offer);
  }

  async function answerTo(offer: Offered): Promise<void> {
    const made = socket;
    const sdp = await host.seed?.answer(offer).catch(() => undefined);
    if (sdp === undefined || socket !== made || made?.readyState !== 1) return;
    made.send(JSON.stringify({ action: "announce", info_hash: toBinary(fromHex(offer.infohash)), peer_id: toBinary(host.peerId), to_peer_id: offer.from, offer_id: offer.id, answer: { type: "answer", sdp } }));
  }

  async function announce(event?: "started"): Promise<void> {
    const made = socket;
    messages = 0;
    rounds++;
    announced = Date.now();
    clearTimeout(timer);
    for (const infohash of [...joined.values()]) {
      const offers = await host.offers(infohash);
      if (socket !== made || made?.readyState !== 1) return;
      made.send(announcement(infohash, host.peerId, offers, event, host.seed?.gives() === true ? 0 : 1));
    }
    clearTimeout(timer);
    timer = setTimeout(() => void announce(), about(Math.min(firstAgain * 2 ** (rounds - 1), interval * 1000)));
  }

  function failed(made: WebSocket | undefined, code: TrackerReason): void {
    if (socket !== made) return;
    drop();
    if (isClosed || !isNeeded) return;
    const wait = about(Math.min(firstReconnect * 2 ** tries, lastReconnect));
    next = Date.now() + wait;
    tries++;
    timer = setTimeout(connect, wait);
    set("failed", { code, detail: "" });
    host.failed();
  }

  function drop(): void {
    clearTimeout(timer);
    const made = socket;
    socket = undefined;
    rounds = 0;
    if (made === undefined) return;
    made.onopen = made.onmessage = made.onerror = made.onclose = null;
    if (made.readyState === 1) for (const infohash of joined.values()) made.send(announcement(infohash, host.peerId, [], "stopped"));
    made.close();
  }

  return {
    join(infohash) {
      joined.set(toBinary(fromHex(infohash)), infohash);
      if (socket?.readyState === 1) void announce("started");
    },
    look(needed) {
      if (isClosed || needed === isNeeded || host.forbidden !== undefined) return;
      isNeeded = needed;
      if (needed) {
        clearTimeout(timer);
        const wait = next - Date.now();
        if (wait <= 0) connect();
        else timer = setTimeout(connect, wait);
        return;
      }
      drop();
      if (state !== "failed") set("unused");
    },
    again() {
      if (socket?.readyState !== 1 || rounds === 0) return;
      rounds = 0;
      clearTimeout(timer);
      timer = setTimeout(() => void announce(), Math.max(0, announced + leastAgain - Date.now()));
    },
    found() {
      found++;
      set("working");
    },
    lost() {
      if (found === 0) set(state, { code: "no-way", detail: "" });
    },
    failures: () => (host.forbidden === undefined ? tries : Number.POSITIVE_INFINITY),
    view: () => ({ url, state, found, reason }),
    close() {
      isClosed = true;
      drop();
    },
  };
}
