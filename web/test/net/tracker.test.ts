import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createNet, type NetHost } from "../../src/net/index.ts";
import type { Net } from "../../src/net/net.ts";
import { type Connection, type DataChannel, fingerprintOf, withoutPrivate } from "../../src/net/rtc.ts";
import { type Answer, announcement, maxId, maxMessage, maxMessages, maxSDP, openTracker, readTold, type Seed, type TrackerHost } from "../../src/net/tracker.ts";
import { fromBinary, toBinary } from "../../src/net/wire.ts";
import { fromHex, toHex, utf8 } from "../../src/protocol/bytes.ts";
import { hashOfName } from "../../src/protocol/hash.ts";

const reddit = hashOfName("reddit");
const binary = toBinary(fromHex(reddit));
const peerId = utf8("-CM0100-abcdefghijkl");
const joined = new Map([[binary, reddit]]);

test("an announce, to the letter", () => {
  const text = announcement(reddit, peerId, [{ id: "0011", sdp: "v=0\r\n" }], "started");
  expect(JSON.parse(text)).toEqual({
    action: "announce",
    info_hash: binary,
    peer_id: "-CM0100-abcdefghijkl",
    event: "started",
    uploaded: 0,
    downloaded: 0,
    left: 1,
    numwant: 1,
    offers: [{ offer_id: "0011", offer: { type: "offer", sdp: "v=0\r\n" } }],
  });
  // A byte is a character, whatever it is.
  expect(toHex(fromBinary(JSON.parse(text).info_hash))).toBe(reddit);
  expect(JSON.parse(announcement(reddit, peerId, [])).event).toBeUndefined();
});

describe("what a tracker says", () => {
  const answer = { action: "announce", info_hash: binary, peer_id: "x", offer_id: "0011", answer: { type: "answer", sdp: "v=0" } };
  const offer = { action: "announce", info_hash: binary, peer_id: "-CM0100-abcdefghijkl", offer_id: "0011", offer: { type: "offer", sdp: "v=0" } };

  test.each<[string, unknown, ReturnType<typeof readTold>]>([
    ["an interval", { action: "announce", info_hash: binary, interval: 120, complete: 1 }, { interval: 120 }],
    ["an answer", answer, { answer: { infohash: reddit, id: "0011", sdp: "v=0" } }],
    ["a failure", { "failure reason": "x".repeat(1000) }, { failure: "x".repeat(200) }],
    ["an offer", offer, { offer: { infohash: reddit, id: "0011", sdp: "v=0", from: "-CM0100-abcdefghijkl" } }],
    ["an offer of nobody", { ...offer, peer_id: "x" }, undefined],
    ["an offer that is none", { ...offer, offer: { type: "answer", sdp: "v=0" } }, undefined],
    ["an offer too long", { ...offer, offer: { type: "offer", sdp: "x".repeat(maxSDP + 1) } }, undefined],
    ["an offer with too long an id", { ...offer, offer_id: "x".repeat(maxId + 1) }, undefined],
    ["an offer with the longest id", { ...offer, offer_id: "x".repeat(maxId) }, { offer: { infohash: reddit, id: "x".repeat(maxId), sdp: "v=0", from: "-CM0100-abcdefghijkl" } }],
    ["an answer in another swarm", { ...answer, info_hash: "x".repeat(20) }, undefined],
    ["an answer that is none", { ...answer, answer: { type: "offer", sdp: "v=0" } }, undefined],
    ["an answer too long", { ...answer, answer: { type: "answer", sdp: "x".repeat(maxSDP + 1) } }, undefined],
    ["an answer to nothing", { ...answer, offer_id: 7 }, undefined],
    ["a scrape", { action: "scrape", files: {} }, undefined],
    ["null", null, undefined],
    ["a list", [], undefined],
  ])("%s", (_, value, told) => expect(readTold(JSON.stringify(value), joined)).toEqual(told));

  test.each([["no JSON", "{"], ["bytes", new Uint8Array(1)], ["too much", `"${"x".repeat(maxMessage)}"`]])("%s", (_, data) => expect(readTold(data, joined)).toBeUndefined());
});

/** A WebSocket, as the test plays it. */
class Socket {
  static made: Socket[] = [];
  readyState = 0;
  readonly sent: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onerror: (() => void) | null = null;
  onclose: (() => void) | null = null;
  constructor(readonly url: string) {
    Socket.made.push(this);
  }
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(value: unknown): void {
    this.onmessage?.({ data: JSON.stringify(value) });
  }
}

const newest = (): Socket => Socket.made[Socket.made.length - 1] as Socket;

beforeEach(() => {
  Socket.made = [];
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

function tracker(seed?: Seed): { tracker: ReturnType<typeof openTracker>; answers: Answer[] } {
  const answers: Answer[] = [];
  const host: TrackerHost = {
    WebSocket: Socket as unknown as TrackerHost["WebSocket"],
    peerId,
    offers: async () => [{ id: "0011", sdp: "v=0" }],
    answered: (answer) => answers.push(answer),
    seed,
    changed: () => undefined,
    failed: () => undefined,
    forbidden: undefined,
  };
  const made = openTracker("wss://tracker.example.org/announce", host);
  made.join(reddit);
  return { tracker: made, answers };
}

describe("a tracker", () => {
  test("passes offers to a seed, and its answers back", async () => {
    let isSeed = true;
    const { tracker: one } = tracker({ gives: () => isSeed, answer: async ({ sdp }) => (sdp === "v=0" ? "answered" : undefined) });
    one.look(true);
    newest().open();
    await vi.advanceTimersByTimeAsync(0);
    const [{ left, event } = {}] = newest().sent.map((text) => JSON.parse(text));
    expect([left, event]).toEqual([0, "started"]);
    const offer = { action: "announce", info_hash: binary, peer_id: "-CM0100-00000000000b", offer_id: "id", offer: { type: "offer", sdp: "v=0" } };
    newest().say({ ...offer, offer: { type: "offer", sdp: "v=1" } });
    newest().say(offer);
    await vi.advanceTimersByTimeAsync(0);
    expect(newest().sent.slice(1).map((text) => JSON.parse(text))).toEqual([
      { action: "announce", info_hash: binary, peer_id: "-CM0100-abcdefghijkl", to_peer_id: "-CM0100-00000000000b", offer_id: "id", answer: { type: "answer", sdp: "answered" } },
    ]);
    isSeed = false;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(JSON.parse(newest().sent.at(-1) ?? "").left).toBe(1);
    one.close();
    expect(JSON.parse(newest().sent.at(-1) ?? "").event).toBe("stopped");
  });

  test("is asked when it is needed, and left when it is not", async () => {
    const { tracker: one, answers } = tracker();
    expect(Socket.made).toEqual([]);
    expect(one.view().state).toBe("unused");
    one.look(true);
    expect(one.view().state).toBe("asking");
    newest().open();
    await vi.advanceTimersByTimeAsync(0);
    expect(newest().sent.map((text) => JSON.parse(text).event)).toEqual(["started"]);
    newest().say({ action: "announce", info_hash: binary, interval: 120 });
    expect(one.view().state).toBe("working");
    newest().say({ action: "announce", info_hash: binary, offer_id: "0011", answer: { type: "answer", sdp: "v=0" } });
    expect(answers).toEqual([{ infohash: reddit, id: "0011", sdp: "v=0" }]);
    one.look(false);
    expect(newest().sent.map((text) => JSON.parse(text).event)).toEqual(["started", "stopped"]);
    expect(newest().readyState).toBe(3);
  });

  test("hears again, at first soon, then as often as it wants", async () => {
    const { tracker: one } = tracker();
    one.look(true);
    newest().open();
    await vi.advanceTimersByTimeAsync(0);
    newest().say({ action: "announce", info_hash: binary, interval: 60 });
    await vi.advanceTimersByTimeAsync(18_000);
    expect(newest().sent.length).toBe(2);
    await vi.advanceTimersByTimeAsync(600_000);
    // Every 48 to 72 s.
    expect(newest().sent.length).toBeGreaterThanOrEqual(9);
    expect(newest().sent.length).toBeLessThanOrEqual(15);
    const before = newest().sent.length;
    for (let n = 0; n < 10; n++) {
      one.again();
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(newest().sent.length - before).toBeLessThanOrEqual(2);
  });

  test("that does not answer, or breaks, is tried again after growing pauses", async () => {
    const { tracker: one } = tracker();
    one.look(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(one.view()).toMatchObject({ state: "failed", reason: { code: "timeout" } });
    await vi.advanceTimersByTimeAsync(6000);
    expect(Socket.made.length).toBe(2);
    newest().onerror?.();
    expect(one.view()).toMatchObject({ state: "failed", reason: { code: "unreachable" } });
    await vi.advanceTimersByTimeAsync(7000);
    expect(Socket.made.length).toBe(2);
    await vi.advanceTimersByTimeAsync(6000);
    expect(Socket.made.length).toBe(3);
    one.close();
    await vi.advanceTimersByTimeAsync(1_000_000);
    expect(Socket.made.length).toBe(3);
  });

  test("that refuses, or says too much", async () => {
    const { tracker: one } = tracker();
    one.look(true);
    newest().open();
    await vi.advanceTimersByTimeAsync(0);
    newest().say({ "failure reason": "full" });
    expect(one.view()).toMatchObject({ state: "failed", reason: { code: "refused", detail: "full" } });
    const socket = newest();
    for (let n = 0; n < maxMessages; n++) socket.say({});
    expect(one.view()).toMatchObject({ state: "failed", reason: { code: "bad-answer" } });
    expect(socket.readyState).toBe(3);
  });
});

const print = Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, "0").toUpperCase()).join(":");

describe("session descriptions", () => {
  test("have one fingerprint", () => {
    const line = `a=fingerprint:sha-256 ${print}`;
    expect(fingerprintOf(`v=0\r\n${line}\r\n`)).toBe(Array.from({ length: 32 }, (_, i) => i.toString(16).padStart(2, "0")).join(""));
    expect(fingerprintOf(`${line}\r\n${line.toLowerCase()}\r\n`)).toHaveLength(64);
    for (const sdp of ["v=0", `${line}\r\n${line.replace("00", "01")}`, line.replace("sha-256", "sha-1"), `${line}:00`, `${line}\r\n${line.replace(" 00", "  01")}`]) expect(() => fingerprintOf(sdp)).toThrow();
  });

  test("lose the addresses that a stranger may not name", () => {
    const candidates = ["1.2.3.4", "192.168.1.1", "127.0.0.1", "fd00::1", "2606:4700::1", "::ffff:10.0.0.1", "router.local", "0c1f.local"].map((host) => `a=candidate:1 1 udp 1 ${host} 4083 typ host`);
    const sdp = ["v=0", "c=IN IP4 0.0.0.0", ...candidates, "a=remote-candidates:1 10.0.0.1 80", "a=end-of-candidates", ""].join("\r\n");
    const left = withoutPrivate(sdp, false);
    expect(left.split("\r\n")).toEqual(["v=0", "c=IN IP4 0.0.0.0", candidates[0], candidates[4], "a=end-of-candidates", ""]);
    expect(withoutPrivate(sdp, true)).toBe(sdp);
    // What a lenient browser takes for the address is what is looked at, or it goes.
    for (const odd of ["a=candidate:1 1 udp  1.2.3.4 192.168.1.1 80 typ host", "a=candidate:1 1 udp 1\t192.168.1.1 1.2.3.4 80 typ host", "a=candidate: 1 udp 1 1.2.3.4 80 typ host"]) expect(withoutPrivate(odd, false)).toBe("");
  });
});

/** A connection that never connects. */
class Idle implements Connection {
  static open = 0;
  localDescription: { sdp: string } | null = null;
  iceGatheringState = "new";
  connectionState = "new";
  constructor() {
    Idle.open++;
  }
  createDataChannel(): DataChannel {
    return { binaryType: "", bufferedAmount: 0, readyState: "connecting", send: () => undefined, close: () => undefined, addEventListener: () => undefined };
  }
  async createOffer(): Promise<{ type: string; sdp: string }> {
    return { type: "offer", sdp: `a=fingerprint:sha-256 ${print}\r\n` };
  }
  async createAnswer(): Promise<{ type: string; sdp: string }> {
    return { type: "answer", sdp: `a=fingerprint:sha-256 ${print}\r\n` };
  }
  async setLocalDescription({ sdp }: { sdp: string }): Promise<void> {
    this.localDescription = { sdp };
  }
  async setRemoteDescription(): Promise<void> {}
  async getStats(): Promise<Map<string, Readonly<Record<string, unknown>>>> {
    return new Map<string, Readonly<Record<string, unknown>>>();
  }
  close(): void {
    Idle.open--;
  }
  addEventListener(): void {}
}

describe("the swarm", () => {
  let net: Net;

  async function start(trackers: readonly string[], page = "https://comntr.github.io/page/"): Promise<void> {
    Idle.open = 0;
    const host: NetHost = {
      page: new URL(page),
      fetch: () => Promise.reject(new TypeError("no network")),
      subtle: undefined,
      WebSocket: Socket as unknown as NonNullable<NetHost["WebSocket"]>,
      PeerConnection: Idle,
      WebTransport: undefined,
      memory: { load: async () => undefined, save: () => undefined },
    };
    net = createNet({ servers: [], trackers, stun: [], typed: [] }, host);
    net.read({ community: reddit, topic: hashOfName("x") }, new Set(), {
      files: () => undefined, total: () => undefined, state: () => undefined, agreement: () => undefined, onOneServer: () => undefined, folder: () => undefined,
    });
    // The module is loaded when it is needed, which takes its time.
    for (let n = 0; n < 1000 && Socket.made.length === 0; n++) {
      await vi.advanceTimersByTimeAsync(1);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test("asks four trackers at most, with a few offers each, which end", async () => {
    await start(Array.from({ length: 6 }, (_, i) => `wss://tracker${i}.example.org`));
    expect(Socket.made.length).toBe(4);
    for (const socket of Socket.made) socket.open();
    // Nothing is gathered: after a while what there is is offered.
    await vi.advanceTimersByTimeAsync(1600);
    expect(Socket.made.map(({ sent }) => JSON.parse(sent[0] as string).offers.length)).toEqual([4, 4, 4, 4]);
    await vi.advanceTimersByTimeAsync(20 * 60_000);
    expect(Idle.open).toBeLessThanOrEqual(24);
    net.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(Idle.open).toBe(0);
    expect(Socket.made.every(({ readyState }) => readyState === 3)).toBe(true);
  });

  test("takes another tracker for one that fails, and does not hurry back", async () => {
    await start(Array.from({ length: 5 }, (_, i) => `wss://tracker${i}.example.org`));
    Socket.made[0]?.onerror?.();
    expect(Socket.made.map(({ url }) => url.slice(13, 14))).toEqual(["0", "1", "2", "3", "4"]);
    // All fail: each pauses, longer and longer.
    for (let n = 0; n < 100; n++) {
      for (const socket of Socket.made) if (socket.readyState === 0) socket.onerror?.();
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(Socket.made.length).toBeLessThan(35);
    net.close();
  });

  test("a page on https asks no tracker in plain", async () => {
    await start(["ws://tracker.example.org", "nonsense", "wss://tracker.example.org"]);
    expect(Socket.made.map(({ url }) => url)).toEqual(["wss://tracker.example.org"]);
    expect(net.trackers().map(({ state, reason }) => [state, reason?.code])).toEqual([["failed", "mixed-content"], ["failed", "bad-address"], ["asking", undefined]]);
    net.close();
  });

  test("an answer that leads nowhere is told", async () => {
    await start(["wss://tracker.example.org"]);
    newest().open();
    await vi.advanceTimersByTimeAsync(1600);
    const [{ offer_id: id }] = JSON.parse(newest().sent[0] as string).offers;
    newest().say({ action: "announce", info_hash: binary, offer_id: id, answer: { type: "answer", sdp: `a=fingerprint:sha-256 ${print}\r\n` } });
    await vi.advanceTimersByTimeAsync(21_000);
    expect(net.trackers()).toMatchObject([{ reason: { code: "no-way" }, found: 0 }]);
    net.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(Idle.open).toBe(0);
  });
});
