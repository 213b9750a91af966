// Servers by WebRTC: a page makes offers, trackers pass them on, servers answer. So a page on https reaches a server that
// has an IP address and no certificate, and finds servers that nobody named. Of a topic's swarm, other pages answer:
// pages.ts. No candidate comes later than its offer (non-trickle), as everywhere in WebTorrent.

import { fromHex, toHex, urlOf, utf8 } from "../protocol/bytes.ts";
import type { Hash } from "../protocol/hash.ts";
import { type Channel, openChannel, type Port } from "./channel.ts";
import { until, within } from "./deadline.ts";
import { isMixed, isPrivatePage, isPublic, parse6, parseAddress } from "./guard.ts";
import type { TrackerView } from "./net.ts";
import { Trouble } from "./reasons.ts";
import type { Line, Servers } from "./servers.ts";
import { type Answer, type Description, type Offer, openTracker, type Seed, type Tracker } from "./tracker.ts";

/** Trackers spoken to at once, offers of one announce, and connections that wait for an answer. */
const maxTrackers = 4;
const offersEach = 4;
const maxWaiting = 24;
/** Gathering of the own addresses: what is known then is offered. */
const gatherMillis = 1500;
/** An offer waits so long for an answer. Trackers forget it not much later. */
const offerMillis = 50_000;
/** From an answer to an open channel, and from there to the hello. */
export const connectMillis = 20_000;
const helloMillis = 10_000;
/** Answers that are tried at once. */
const maxConnecting = 6;

/** What of RTCPeerConnection is used. */
export interface Connection {
  createDataChannel(label: string, options: { ordered: boolean }): DataChannel;
  createOffer(): Promise<{ type: string; sdp?: string }>;
  createAnswer(): Promise<{ type: string; sdp?: string }>;
  setLocalDescription(description: Description): Promise<void>;
  setRemoteDescription(description: Description): Promise<void>;
  getStats(): Promise<{ forEach(each: (report: Readonly<Record<string, unknown>>) => void): void }>;
  close(): void;
  readonly localDescription: { readonly sdp: string } | null;
  readonly iceGatheringState: string;
  readonly connectionState: string;
  addEventListener(type: string, listener: (event: { readonly channel?: DataChannel }) => void): void;
}

export interface DataChannel {
  binaryType: string;
  readonly readyState: string;
  readonly bufferedAmount: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void;
}

export type PeerConnection = new (config: { iceServers: { urls: string[] }[] }) => Connection;

/** What of the browser and of the site it takes to be in a swarm. */
export interface Ways {
  readonly stun: readonly string[];
  readonly PeerConnection: PeerConnection;
  readonly WebSocket: new (url: string) => WebSocket;
  readonly page: URL | undefined;
}

export interface SwarmHost<Proof> extends Ways {
  /** 20 bytes: makePeerId. */
  readonly peerId: Uint8Array;
  readonly servers: Pick<Servers, "isEnough" | "changed"> & { peers(infohash: Hash): readonly unknown[] };
  /** Waits for who is at the other end to say who that is. prints: the certificates of that end and of this one. */
  prove(channel: Channel, nonce: string, prints: readonly [string, string]): Promise<Proof>;
  /** host: its address, where the browser says so. */
  take(line: Line, proof: Proof, host: string | undefined): void;
  readonly seed?: Seed;
  readonly signal: AbortSignal;
  changed(): void;
}

export interface Swarm {
  /** A tracker that may be asked. */
  offer(url: string): void;
  join(infohash: Hash): void;
  /** Looks again for whom there is need. */
  look(): void;
  views(): readonly TrackerView[];
}

/** An offer that was made. */
interface Waiting {
  readonly connection: Connection;
  readonly channel: DataChannel;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly tracker: Tracker;
}

/** Of a new peer that speaks as this program does. */
export function makePeerId(): Uint8Array {
  const peerId = crypto.getRandomValues(new Uint8Array(20));
  peerId.set(utf8("-CM0100-"));
  return peerId;
}

export function createSwarm<Proof>({ servers, peerId, prove, take, seed, signal, changed, ...ways }: SwarmHost<Proof>): Swarm {
  const { WebSocket, page } = ways;
  const trackers = new Map<string, Tracker>();
  const joined = new Set<Hash>();
  const waiting = new Map<string, Waiting>();
  const allowPrivate = isPrivatePage(page);
  let connecting = 0;

  const missing = (): Hash[] => [...joined].filter((infohash) => !servers.isEnough(infohash));

  function look(): void {
    if (signal.aborted) return;
    const without = missing();
    // What was offered for no need holds connections of this page, and perhaps of servers.
    if (without.length === 0) for (const id of [...waiting.keys()]) drop(id);
    const isNeeded = without.length > 0 || seed?.gives() === true;
    const isUrgent = without.some((infohash) => servers.peers(infohash).length === 0);
    // Those that failed least often first.
    const sorted = [...trackers.values()].sort((a, b) => a.failures() - b.failures());
    sorted.forEach((tracker, i) => {
      tracker.look(isNeeded && i < maxTrackers);
      if (isUrgent && waiting.size === 0 && connecting === 0) tracker.again();
    });
    changed();
  }

  async function makeOffers(infohash: Hash, tracker: Tracker): Promise<readonly Offer[]> {
    if (servers.isEnough(infohash)) return [];
    const room = Math.min(offersEach, maxWaiting - waiting.size);
    const made = await Promise.all(Array.from({ length: Math.max(0, room) }, () => makeOffer(tracker).catch(() => undefined)));
    return made.filter((offer) => offer !== undefined);
  }

  async function makeOffer(tracker: Tracker): Promise<Offer> {
    const connection = connect(ways);
    try {
      const channel = connection.createDataChannel("comntr", { ordered: true });
      channel.binaryType = "arraybuffer";
      const { sdp = "" } = await connection.createOffer();
      const gathered = await described(connection, { type: "offer", sdp }, signal);
      const id = toHex(crypto.getRandomValues(new Uint8Array(10)));
      const timer = setTimeout(() => drop(id), offerMillis);
      waiting.set(id, { connection, channel, timer, tracker });
      return { id, sdp: gathered };
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  function taken(id: string): Waiting | undefined {
    const offer = waiting.get(id);
    waiting.delete(id);
    clearTimeout(offer?.timer);
    return offer;
  }

  function drop(id: string): void {
    taken(id)?.connection.close();
  }

  async function answered({ infohash, id, sdp }: Answer): Promise<void> {
    const offer = connecting < maxConnecting ? taken(id) : undefined;
    if (offer === undefined) return;
    const { connection, channel, tracker } = offer;
    connecting++;
    try {
      const nonce = crypto.getRandomValues(new Uint8Array(32));
      const filtered = withoutPrivate(sdp, allowPrivate);
      const prints = [fingerprintOf(filtered), fingerprintOf(connection.localDescription?.sdp ?? "")] as const;
      const line = await within(signal, connectMillis, async (limit) => {
        await connection.setRemoteDescription({ type: "answer", sdp: filtered });
        await isOpen(channel, connection, limit);
        return openChannel(portOf(channel, connection), infohash, peerId, nonce);
      });
      const proof = await within(signal, helloMillis, () => prove(line, toHex(nonce), prints));
      const address = await addressOf(connection);
      const bytes = address === undefined ? undefined : (parseAddress(address) ?? parse6(address));
      if (bytes !== undefined && !allowPrivate && !isPublic(bytes)) throw new Trouble("private-address");
      tracker.found();
      take({ carrier: "webrtc", server: { origin: "http://webrtc", fetch: line.fetch }, closed: line.closed, close: line.close }, proof, address?.includes(":") ? `[${address}]` : address);
    } catch {
      connection.close();
      tracker.lost();
    } finally {
      connecting--;
      look();
    }
  }

  signal.addEventListener("abort", () => {
    for (const tracker of trackers.values()) tracker.close();
    for (const id of [...waiting.keys()]) drop(id);
  });
  servers.changed(look);

  return {
    offer(url) {
      if (trackers.has(url)) return;
      const at = urlOf(url);
      const tracker: Tracker = openTracker(url, {
        WebSocket,
        peerId,
        offers: (infohash) => makeOffers(infohash, tracker),
        answered: (answer) => void answered(answer),
        seed,
        changed,
        failed: look,
        forbidden: at === undefined ? "bad-address" : isMixed(page, at) ? "mixed-content" : undefined,
      });
      for (const infohash of joined) tracker.join(infohash);
      trackers.set(url, tracker);
      look();
    },
    join(infohash) {
      joined.add(infohash);
      for (const tracker of trackers.values()) tracker.join(infohash);
      look();
    },
    look,
    views: () => [...trackers.values()].map((tracker) => tracker.view()),
  };
}

export function connect({ stun, PeerConnection }: Pick<Ways, "stun" | "PeerConnection">): Connection {
  return new PeerConnection({ iceServers: stun.length === 0 ? [] : [{ urls: [...stun] }] });
}

/** Takes a description as this end's own, and gives it with the addresses that were gathered. */
export async function described(connection: Connection, description: Description, signal: AbortSignal): Promise<string> {
  await within(signal, gatherMillis, async () => {
    await connection.setLocalDescription(description);
    if (connection.iceGatheringState === "complete") return;
    await new Promise<void>((resolve) => {
      connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && resolve());
    });
  }).catch((error: unknown) => {
    // What was gathered until then will do.
    if (!(error instanceof Trouble) || connection.localDescription === null) throw error;
  });
  signal.throwIfAborted();
  return connection.localDescription?.sdp ?? description.sdp;
}

function onLost(connection: Connection, act: () => void): void {
  connection.addEventListener("connectionstatechange", () => {
    if (connection.connectionState === "failed" || connection.connectionState === "closed") act();
  });
}

/** Waits for a data channel to be open. */
export function isOpen(channel: DataChannel, connection: Connection, signal: AbortSignal): Promise<void> {
  return until(
    signal,
    new Promise((resolve, reject) => {
      if (channel.readyState === "open") return resolve();
      channel.addEventListener("open", () => resolve());
      onLost(connection, () => reject(new Trouble("no-way")));
    }),
  );
}

export function portOf(channel: DataChannel, connection: Connection): Port {
  return {
    send: (bytes) => channel.send(bytes),
    waiting: () => channel.bufferedAmount,
    onBytes: (listener) => channel.addEventListener("message", ({ data }) => data instanceof ArrayBuffer && listener(new Uint8Array(data))),
    onEnd(listener) {
      channel.addEventListener("close", listener);
      onLost(connection, listener);
    },
    close() {
      channel.close();
      connection.close();
    },
  };
}

/**
 * The SHA-256 of a certificate, in hex, as a session description names it. With two, a stranger in between could have
 * one of them meant by us and the other one by the server.
 */
export function fingerprintOf(sdp: string): string {
  const prints = new Set([...sdp.matchAll(/^a=fingerprint:(.*)$/gm)].map(([, print = ""]) => print.trimEnd().toLowerCase()));
  const [, hex = ""] = /^sha-256 ((?:[0-9a-f]{2}:){31}[0-9a-f]{2})$/.exec([...prints].join()) ?? [];
  if (hex === "") throw new Trouble("no-proof");
  return toHex(fromHex(hex.replaceAll(":", "")));
}

/** A stranger's answer without addresses that he may not name. Names, .local ones, are looked up in the reader's network. */
export function withoutPrivate(sdp: string, allowPrivate: boolean): string {
  if (allowPrivate) return sdp;
  return sdp
    .split(/\r?\n/)
    .filter((line) => {
      if (!line.startsWith("a=candidate:") && !line.startsWith("a=remote-candidates:")) return true;
      // To the letter: where browsers pass over more spaces, what they take for the address would be another field.
      const [, text = ""] = /^a=candidate:\S+ \d+ \S+ \d+ (\S+) /.exec(line) ?? [];
      const address = text.includes(":") ? parse6(text) : parseAddress(text);
      return address !== undefined && isPublic(address);
    })
    .join("\r\n");
}

/** Where the other end of a connection is, where the browser says so. */
export async function addressOf(connection: Connection): Promise<string | undefined> {
  const reports = new Map<unknown, Readonly<Record<string, unknown>>>();
  let selected: unknown;
  (await connection.getStats()).forEach((report) => {
    reports.set(report["id"], report);
    if (report["type"] === "transport") selected = report["selectedCandidatePairId"] ?? selected;
    else if (report["type"] === "candidate-pair" && report["nominated"] === true && report["state"] === "succeeded") selected ??= report["id"];
  });
  const remote = reports.get(reports.get(selected)?.["remoteCandidateId"]);
  const address = remote?.["address"] ?? remote?.["ip"];
  return typeof address === "string" && address !== "" ? address : undefined;
}
