// Pages that read from one another: whole ones, with a tracker and connections in memory.

import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { idleMillis, openAccount } from "../../src/net/give.ts";
import type { Reading, ReadState, Whole } from "../../src/net/net.ts";
import { idleEnough, infohashOf, maxOnTheirWay, maxPages, maxReaders, openPages, type Pages, type PagesHost, type PagesView, patienceMillis } from "../../src/net/pages.ts";
import type { Connection, DataChannel, PeerConnection } from "../../src/net/rtc.ts";
import { enough } from "../../src/net/servers.ts";
import { frameTypes, fromBinary, writeFrame } from "../../src/net/wire.ts";
import { concat, fromUTF8, toHex, utf8 } from "../../src/protocol/bytes.ts";
import { cidText } from "../../src/protocol/cid.ts";
import { type Hash, hashOfName, type Place } from "../../src/protocol/hash.ts";
import { leafOf, makeFolder } from "../../src/protocol/make.ts";
import { carOf } from "../../src/workers/folder.ts";

const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };

beforeEach(() => {
  // The browser's own works in a thread, for which the time that is played would not wait.
  vi.stubGlobal("DecompressionStream", Unpack);
  vi.useFakeTimers({ now: Date.parse("2026-11-22T12:00:00Z"), toFake: ["setTimeout", "clearTimeout", "Date"] });
  hub.sockets.clear();
  hub.seeds.clear();
  hub.said.length = 0;
  Wire.all.clear();
});
afterEach(() => {
  for (const { pages } of people.splice(0)) pages.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

class Unpack {
  readonly readable: ReadableStream;
  readonly writable: WritableStream;
  constructor() {
    const packed: Uint8Array[] = [];
    const stream = new TransformStream<Uint8Array, Uint8Array>({
      transform: (part) => void packed.push(part),
      flush: (to) => to.enqueue(Uint8Array.from(gunzipSync(concat(packed)))),
    });
    this.readable = stream.readable;
    this.writable = stream.writable;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function pass(millis: number): Promise<void> {
  for (let left = millis; left > 0; left -= 250) {
    await vi.advanceTimersByTimeAsync(Math.min(left, 250));
    await turn();
  }
}

/** Lets time go by until something is so; ten minutes at most. */
async function comes(what: () => boolean): Promise<void> {
  for (let n = 0; n < 7000 && !what(); n++) {
    await vi.advanceTimersByTimeAsync(n < 1000 ? 1 : 100);
    await turn();
  }
  expect(what()).toBe(true);
}

// ---- a tracker: of an announce each peer gets one offer at most, seeds first

interface Said {
  readonly info_hash: string;
  readonly peer_id: string;
  readonly event?: string;
  readonly left?: number;
  readonly offers?: readonly { readonly offer_id: string; readonly offer: unknown }[];
  readonly to_peer_id?: string;
  readonly offer_id?: string;
  readonly answer?: unknown;
}

const hub = {
  sockets: new Map<string, Socket>(),
  seeds: new Set<string>(),
  said: [] as Said[],
  next: 0,
  hear(from: Socket, said: Said): void {
    hub.said.push(said);
    const { peer_id: id, to_peer_id: to, offer_id, answer, info_hash } = said;
    if (answer !== undefined) return hub.sockets.get(to as string)?.hear({ action: "announce", info_hash, peer_id: id, offer_id, answer });
    if (said.event === "stopped") return void hub.sockets.delete(id);
    hub.sockets.set(id, from);
    hub.seeds[said.left === 0 ? "add" : "delete"](id);
    from.hear({ action: "announce", info_hash, interval: 120 });
    const all = [...hub.sockets].filter(([other]) => other !== id);
    const seeds = all.filter(([other]) => hub.seeds.has(other));
    const [first = [], last = []] = [seeds, all.filter((each) => !seeds.includes(each))].map((some) => some.map((_, n) => some[(hub.next + n) % some.length] as (typeof some)[0]));
    hub.next += said.offers?.length ?? 0;
    const others = [...first, ...last];
    (said.offers ?? []).forEach(({ offer_id, offer }, n) => others[n]?.[1].hear({ action: "announce", info_hash, peer_id: id, offer_id, offer }));
  },
};

class Socket {
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror = null;
  onclose = null;
  constructor() {
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }
  send(text: string): void {
    queueMicrotask(() => hub.hear(this, JSON.parse(text) as Said));
  }
  hear(said: unknown): void {
    queueMicrotask(() => this.onmessage?.({ data: JSON.stringify(said) }));
  }
  close(): void {
    this.readyState = 3;
  }
}

// ---- connections: an answer that is taken makes one

class Wire implements DataChannel {
  static readonly all = new Map<string, Peer>();
  binaryType = "";
  bufferedAmount = 0;
  readyState = "connecting";
  other: Wire | undefined;
  private readonly listeners: Record<string, ((event: { data?: unknown }) => void)[]> = {};
  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.readyState !== "open") throw new Error("not open");
    const data = bytes.slice().buffer;
    queueMicrotask(() => this.other?.tell("message", { data }));
  }
  tell(type: string, event: { data?: unknown } = {}): void {
    if (type !== "message" || this.readyState === "open") for (const listener of this.listeners[type] ?? []) listener(event);
  }
  open(): void {
    this.readyState = "open";
    this.tell("open");
  }
  close(): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    const { other } = this;
    queueMicrotask(() => other?.close());
    this.tell("close");
  }
  addEventListener(type: string, listener: (event: { data?: unknown }) => void): void {
    (this.listeners[type] ??= []).push(listener);
  }
}

class Peer implements Connection {
  localDescription: { sdp: string } | null = null;
  iceGatheringState = "complete";
  connectionState = "new";
  remote: Peer | undefined;
  readonly channel = new Wire();
  private readonly id = `a=fingerprint:sha-256 ${Array.from({ length: 32 }, (_, n) => ((Wire.all.size >> (n === 31 ? 0 : n === 30 ? 8 : 16)) & 255).toString(16).padStart(2, "0")).join(":")}`;
  private readonly listeners: Record<string, ((event: { channel?: DataChannel }) => void)[]> = {};
  constructor(readonly address: string) {
    Wire.all.set(this.id, this);
  }
  createDataChannel(): DataChannel {
    return this.channel;
  }
  async createOffer(): Promise<{ type: string; sdp: string }> {
    return { type: "offer", sdp: this.id };
  }
  async createAnswer(): Promise<{ type: string; sdp: string }> {
    return { type: "answer", sdp: this.id };
  }
  async setLocalDescription({ sdp }: { sdp: string }): Promise<void> {
    this.localDescription = { sdp };
  }
  async setRemoteDescription({ type, sdp }: { type: string; sdp: string }): Promise<void> {
    const other = Wire.all.get(sdp);
    if (other === undefined) throw new Error("nobody");
    this.remote = other;
    if (type === "offer" || other.address.startsWith("nowhere")) return;
    this.channel.other = other.channel;
    other.channel.other = this.channel;
    other.channel.open();
    for (const listener of other.listeners["datachannel"] ?? []) listener({ channel: other.channel });
    this.channel.open();
  }
  async getStats(): Promise<Map<string, Readonly<Record<string, unknown>>>> {
    return new Map<string, Readonly<Record<string, unknown>>>([
      ["t", { id: "t", type: "transport", selectedCandidatePairId: "p" }],
      ["p", { id: "p", type: "candidate-pair", remoteCandidateId: "r" }],
      ["r", { id: "r", type: "remote-candidate", address: this.remote?.address }],
    ]);
  }
  close(): void {
    this.channel.close();
  }
  addEventListener(type: string, listener: (event: { channel?: DataChannel }) => void): void {
    (this.listeners[type] ??= []).push(listener);
  }
}

// ---- people

interface Person {
  readonly pages: Pages;
  readonly reading: Reading;
  readonly texts: Set<string>;
  readonly states: ReadState[];
  readonly folders: string[];
  view(): PagesView | undefined;
  /** What is kept. */
  kept: readonly Uint8Array[];
  isKept: boolean;
}

const people: Person[] = [];
const wholeOf = (files: readonly Uint8Array[], version: 0 | 1 = 0): Whole => {
  const entries = files.map((bytes) => leafOf(bytes, version).entry);
  return { id: cidText(makeFolder(entries, version).cid), names: new Set(entries.map(({ name }) => name)) };
};

function person(texts: readonly string[], more: Partial<PagesHost> & { readonly address?: string } = {}): Person {
  const address = more.address ?? `45.${people.length}.0.1`;
  const files = texts.map(utf8);
  let view: PagesView | undefined;
  const reading: Reading = {
    held: new Set(),
    sink: {
      files: (came) => {
        for (const { bytes } of came) made.texts.add(fromUTF8(bytes) ?? "");
        made.kept = [...made.kept, ...came.map(({ bytes }) => bytes)];
      },
      total: () => undefined,
      state: (state) => made.states.push(state),
      agreement: () => undefined,
      onOneServer: () => undefined,
      folder: (id) => made.folders.push(id),
    },
    whole: files.length === 0 ? undefined : wholeOf(files),
    state: "unreachable",
    isByPages: false,
  };
  const AtAddress = class extends Peer {
    constructor() {
      super(address);
    }
  } as unknown as PeerConnection;
  const pages = openPages({
    place, reading, account: openAccount(Date.now), trackers: ["wss://tracker.example.org"], now: Date.now,
    ways: { stun: [], PeerConnection: AtAddress, WebSocket: Socket as unknown as new (url: string) => WebSocket, page: new URL("http://45.9.9.9/") },
    isKept: async () => made.isKept,
    car: async ({ id, names }) => {
      const parts = carOf(made.kept, id, names);
      return parts === undefined ? new Uint8Array(0) : gzipSync(concat(parts));
    },
    changed: (next) => (view = next),
    ...more,
  });
  const made: Person = { pages, reading, texts: new Set(), states: [], folders: [], view: () => view, kept: files, isKept: true };
  people.push(made);
  return made;
}

const gives = { asks: false, gives: true };
const asks = { asks: true, gives: false };

/** One that gives, ready. */
async function giver(...how: Parameters<typeof person>): Promise<Person> {
  const made = person(...how);
  const before = hub.sockets.size;
  made.pages.set(gives);
  await comes(() => hub.sockets.size > before);
  return made;
}

function asker(...how: Parameters<typeof person>): Person {
  const made = person(...how);
  made.pages.set(asks);
  return made;
}

/** One that has read what there is. */
async function reader(...how: Parameters<typeof person>): Promise<Person> {
  const made = asker(...how);
  await comes(() => made.states.includes("live"));
  return made;
}

const sorted = ({ texts }: Person): string[] => [...texts].sort();

describe("a reader without servers", () => {
  test("gets the thread from a page, and gives it on", async () => {
    const ann = await giver(["Cool!", "Indeed."]);
    const bob = await reader([]);
    expect(sorted(bob)).toEqual(["Cool!", "Indeed."]);
    expect(bob.states).toEqual(["reading", "live"]);
    expect(bob.folders).toEqual([ann.reading.whole?.id]);
    expect(bob.view()).toMatchObject({ pages: 1, readers: 0 });
    expect(ann.view()).toMatchObject({ pages: 0, readers: 1 });
    expect(ann.view()?.given).toBeGreaterThan(0);
    bob.pages.set({ asks: true, gives: true });
    ann.pages.close();
    const eve = await reader([]);
    expect(sorted(eve)).toEqual(["Cool!", "Indeed."]);
    expect(eve.folders).toEqual(bob.folders);
  });

  test("is in the topic's swarm alone, and leaves it", async () => {
    const ann = await giver(["Cool!"]);
    const bob = await reader([]);
    ann.pages.close();
    bob.pages.close();
    await comes(() => hub.sockets.size === 0);
    const hashes = new Set(hub.said.map(({ info_hash }) => toHex(fromBinary(info_hash))));
    expect([...hashes]).toEqual([infohashOf(place)]);
    expect(hashes.has(place.community)).toBe(false);
    expect(hub.said.filter(({ event }) => event === "started").map(({ left }) => left)).toEqual([0, 1]);
    expect(hub.said.filter(({ event }) => event === "stopped")).toHaveLength(2);
  });

  test("gets what any of several pages has", async () => {
    await giver(["Cool!", "On A."]);
    await giver(["Cool!", "On B.", "On B, too."]);
    const bob = asker([]);
    await comes(() => bob.texts.size === 4);
    // Of what pages call whole the largest is told.
    await comes(() => bob.reading.whole?.names.size === 3);
  });

  test("loses nothing by a page that withholds", async () => {
    const bob = asker(["Cool!", "Indeed."]);
    const { whole } = bob.reading;
    await giver(["Cool!"]);
    await comes(() => bob.states.includes("live"));
    expect(bob.reading.whole).toBe(whole);
    expect(bob.folders).toEqual([]);
  });

  test("is not told by a page that nobody wrote anything", async () => {
    const empty = vi.fn(async () => gzipSync(concat(carOf([], wholeOf([]).id, new Set()) ?? [])));
    const ann = await giver(["Cool!"], { car: empty });
    const bob = asker([]);
    await comes(() => (ann.view()?.given ?? 0) > 0 && bob.folders.length > 0);
    await pass(10_000);
    expect(bob.states.filter((state) => state !== "reading")).toEqual([]);
  });

  test("believes no page that lies, and asks its address no more", async () => {
    const ann = await giver(["The sky is blue."], {
      address: "45.200.0.1",
      car: async ({ id, names }) => gzipSync(concat(carOf([utf8("The sky is blue.")], id, names) ?? []).map((byte) => (byte === 0x62 ? 0x63 : byte))),
    });
    const bob = asker([]);
    await comes(() => (ann.view()?.given ?? 0) > 0);
    await comes(() => bob.view()?.pages === 0);
    const { given = 0 } = ann.view() ?? {};
    await pass(200_000);
    expect([sorted(bob), bob.view()?.pages, ann.view()?.given]).toEqual([[], 0, given]);
    await giver(["The sky is blue."], { address: "45.201.0.1" });
    await comes(() => bob.texts.size === 1);
    expect(sorted(bob)).toEqual(["The sky is blue."]);
  });

  test("takes so much of all pages, and no more", async () => {
    await giver(["1234567890"]);
    const bob = await reader([], { most: 10 });
    expect([bob.texts.size, bob.view()?.pages]).toEqual([1, 1]);
    const eve = asker([], { most: 9 });
    await comes(() => eve.texts.size === 1);
    await comes(() => eve.view()?.pages === 0);
    eve.pages.set(asks);
    await pass(100_000);
    expect(eve.view()?.pages).toBe(0);
  });

  test("asks so many pages, each address once", async () => {
    for (let n = 0; n < maxPages + 2; n++) await giver(["Cool!"]);
    await giver(["Cool!"], { address: "45.0.0.1" });
    const bob = await reader([]);
    await comes(() => bob.view()?.pages === maxPages);
    await pass(100_000);
    expect(bob.view()?.pages).toBe(maxPages);
  });

  test("leaves pages that bring nothing for others that wait", async () => {
    // They have something, and give no more of it.
    for (let n = 0; n < maxPages; n++) await giver(["Cool!"], { account: { given: 0, spend: () => false } });
    const bob = asker([]);
    await comes(() => (bob.view()?.pages ?? 0) > 0);
    const began = Date.now();
    await comes(() => bob.view()?.pages === maxPages);
    await giver(["Cool!"]);
    await comes(() => bob.texts.size === 1);
    // They would be gone by themselves, too, but later.
    expect(Date.now() - began).toBeGreaterThanOrEqual(patienceMillis);
    expect(Date.now() - began).toBeLessThan(idleMillis);
  });

  test("does not come back to them", async () => {
    for (let n = 0; n < maxPages; n++) await giver(["Cool!"], { account: { given: 0, spend: () => false } });
    const bob = asker([]);
    await comes(() => bob.view()?.pages === maxPages);
    await pass(150_000);
    expect(bob.view()?.pages).toBeLessThanOrEqual(maxPages - enough);
  });

  test("waits not for ever for pages that go on bringing next to nothing, once there is another", async () => {
    vi.stubGlobal("DecompressionStream", class extends TransformStream { constructor() { super(); } });
    const car = async ({ id, names }: Whole) => concat(carOf(texts.map(utf8), id, names) ?? []);
    const texts = Array.from({ length: 50 }, (_, n) => `Comment ${n}.`);
    for (let n = 0; n < enough; n++) {
      const Slow = class extends Peer {
        constructor() {
          super(`45.${200 + n}.0.1`);
          const { channel } = this;
          const send = channel.send.bind(channel);
          // Nor does it go by itself.
          channel.close = () => undefined;
          let at = 11;
          let isSlow = false;
          channel.send = (bytes) => {
            // Data, in frames of a few bytes, and never an end.
            if (isSlow || bytes[4] !== 20 || bytes[6] !== frameTypes.indexOf("data")) return isSlow ? undefined : send(bytes);
            const request = new DataView(bytes.buffer, bytes.byteOffset).getUint32(7);
            isSlow = true;
            setTimeout(function go() {
              if (channel.readyState !== "open") return;
              send(writeFrame({ type: "data", request, payload: bytes.slice(at, at + 8) }, 1));
              at += 8;
              setTimeout(go, 9000);
            });
          };
        }
      } as unknown as PeerConnection;
      await giver(texts, { car, ways: { stun: [], PeerConnection: Slow, WebSocket: Socket as unknown as new (url: string) => WebSocket, page: new URL("http://45.9.9.9/") } });
    }
    const bob = asker([]);
    await comes(() => bob.view()?.pages === enough);
    await pass(patienceMillis + 5000);
    expect([bob.view()?.pages, bob.states]).toEqual([enough, ["reading"]]);
    await giver(texts, { car });
    await comes(() => bob.texts.size === texts.length);
  });

  test("goes back to servers when one answers", async () => {
    const ann = await giver(["Cool!"]);
    const bob = await reader([]);
    bob.reading.state = "reading";
    bob.pages.set({ asks: false, gives: false });
    expect(bob.states.at(-1)).toBe("reading");
    expect(bob.reading.isByPages).toBe(false);
    expect(bob.view()).toMatchObject({ pages: 0 });
    await comes(() => ann.view()?.readers === 0);
  });
});

describe("who gives", () => {
  test("makes its folder once, when the first one asks", async () => {
    const ann = person(["Cool!"]);
    const car = vi.fn(async () => gzipSync(concat(carOf(ann.kept, ann.reading.whole?.id ?? "", ann.reading.whole?.names ?? new Set()) ?? [])));
    const bob = await giver(["Cool!"], { car });
    await pass(100_000);
    expect(car).not.toHaveBeenCalled();
    await reader([]);
    await reader([]);
    expect(car).toHaveBeenCalledTimes(1);
    expect(bob.view()?.given).toBeGreaterThan(0);
  });

  test("gives the folder before, while the last one is not kept yet", async () => {
    const ann = await giver(["Cool!"], { isKept: async (id) => id === wholeOf([utf8("Cool!")]).id });
    ann.reading.whole = wholeOf(["Cool!", "Indeed."].map(utf8));
    const bob = await reader([]);
    expect(sorted(bob)).toEqual(["Cool!"]);
  });

  test("gives nothing of which an author deleted a part", async () => {
    const ann = await giver(["Cool!", "Taken back."]);
    ann.isKept = false;
    const bob = asker([]);
    await comes(() => bob.view()?.pages === 1);
    await pass(60_000);
    expect(sorted(bob)).toEqual([]);
    // With what a server then gave it does again.
    ann.kept = [utf8("Cool!")];
    ann.reading.whole = wholeOf(ann.kept);
    ann.isKept = true;
    await comes(() => bob.texts.size > 0);
    expect(sorted(bob)).toEqual(["Cool!"]);
  });

  test("gives nothing of which an author deleted a part while it was being made", async () => {
    const car = vi.fn(async ({ id, names }: Whole) => {
      ann.isKept = false;
      return gzipSync(concat(carOf(ann.kept, id, names) ?? []));
    });
    const ann = await giver(["Cool!", "Taken back."], { car });
    const bob = asker([]);
    await comes(() => car.mock.calls.length > 0);
    await pass(10_000);
    expect([bob.texts.size, ann.view()?.given]).toEqual([0, 0]);
  });

  test("gives no folder that it cannot make of what is kept", async () => {
    const ann = await giver(["Cool!", "Indeed."]);
    ann.kept = [utf8("Cool!")];
    const bob = asker([]);
    await comes(() => ann.reading.whole === undefined);
    expect(ann.view()?.given).toBe(0);
    bob.pages.close();
    const { length } = hub.said.filter(({ answer }) => answer !== undefined);
    const eve = asker([]);
    await pass(60_000);
    expect(hub.said.filter(({ answer }) => answer !== undefined)).toHaveLength(length);
    eve.pages.close();
    // One that pages give may take its place.
    ann.pages.set({ asks: true, gives: true });
    await giver(["Cool!", "Indeed."]);
    await comes(() => ann.reading.whole?.names.size === 2);
  });

  test("has so many readers, and leaves the one that asked longest ago for a newcomer", async () => {
    const ann = await giver(["Cool!"]);
    for (let n = 0; n < maxReaders; n++) await reader([]);
    expect(ann.view()?.readers).toBe(maxReaders);
    const answers = (): number => hub.said.filter(({ answer }) => answer !== undefined).length;
    const before = answers();
    const newcomer = asker([]);
    await pass(1000);
    expect(answers()).toBe(before);
    expect([ann.view()?.readers, newcomer.texts.size]).toEqual([maxReaders, 0]);
    await pass(idleEnough);
    await comes(() => newcomer.texts.size === 1);
    expect(ann.view()?.readers).toBe(maxReaders);
  });

  test("has no more readers where several come at once", async () => {
    const ann = await giver(["Cool!"]);
    for (let n = 1; n < maxReaders; n++) await reader([]);
    const late = [asker([]), asker([]), asker([])];
    let most = 0;
    await comes(() => {
      most = Math.max(most, ann.view()?.readers ?? 0);
      return late.some(({ texts }) => texts.size > 0);
    });
    expect(most).toBe(maxReaders);
  });

  test("waits for so many that are on their way", async () => {
    await giver(["Cool!"], { address: "nowhere" });
    const answers = (): number => hub.said.filter(({ answer }) => answer !== undefined).length;
    for (let n = 0; n < maxOnTheirWay; n++) asker([]);
    await comes(() => answers() === maxOnTheirWay);
    asker([]);
    await pass(5000);
    expect(answers()).toBe(maxOnTheirWay);
    // They are given up in time.
    await comes(() => answers() > maxOnTheirWay);
  });

  test("ends with the thread", async () => {
    const ann = await giver(["Cool!"]);
    const bob = await reader([]);
    expect(bob.view()?.pages).toBe(1);
    ann.pages.set({ asks: false, gives: false });
    await comes(() => bob.view()?.pages === 0);
    await comes(() => hub.said.some(({ event }) => event === "stopped"));
    const { length } = hub.said.filter(({ left }) => left === 0);
    await pass(300_000);
    expect(hub.said.filter(({ left }) => left === 0)).toHaveLength(length);
  });
});

test("the swarm of a topic", () => {
  expect(infohashOf(place)).toHaveLength(40);
  expect(infohashOf({ community: place.topic, topic: place.community } as { community: Hash; topic: Hash })).not.toBe(infohashOf(place));
});
