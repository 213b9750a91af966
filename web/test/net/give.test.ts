// What a page gives another reader's page: the two ends of the wire on a port in memory, and what hostile ends do.

import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openChannel, type Port } from "../../src/net/channel.ts";
import { type Account, give, idleMillis, maxAtOnce, maxFrames, maxGiven, maxOfAll, maxOfReader, maxRequests, maxWaiting, type Offer, openAccount } from "../../src/net/give.ts";
import { infohashOf } from "../../src/net/pages.ts";
import { creditOf, encode, type Frame, frameWindow, greeting, handshake, maxAsk, readAnswer, readMessage, writeFrame, writeHead } from "../../src/net/wire.ts";
import { concat, fromUTF8, utf8 } from "../../src/protocol/bytes.ts";
import { getFolder, getId, postDocument } from "../../src/protocol/client.ts";
import { cidText } from "../../src/protocol/cid.ts";
import { hashOf, hashOfName, type Place, placeText } from "../../src/protocol/hash.ts";
import { leafOf, makeFolder } from "../../src/protocol/make.ts";
import { carOf } from "../../src/workers/folder.ts";

const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const infohash = infohashOf(place);
const asker = utf8("-CM0100-abcdefghijkl");
const giver = utf8("-CM0100-mnopqrstuvwx");
const bodies = ["Cool!", "That's bs!", "Indeed."].map(utf8);
const entries = bodies.map((bytes) => leafOf(bytes, 0).entry);
const id = cidText(makeFolder(entries, 0).cid);
const names = new Set(entries.map(({ name }) => name));
const whole: Offer = { id, car: gzipSync(concat(carOf(bodies, id, names) ?? [])) };

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] }));
afterEach(() => void vi.useRealTimers());

/** Two ends of a line; what one sends the other hears in its turn. */
function line(): [Port & { readonly isClosed: boolean }, Port & { readonly isClosed: boolean }] {
  const ends = [0, 1].map(() => {
    const bytes: ((bytes: Uint8Array) => void)[] = [];
    const over: (() => void)[] = [];
    return { bytes, over, isClosed: false };
  });
  const port = (n: number): Port & { readonly isClosed: boolean } => {
    const [mine, other] = [ends[n], ends[1 - n]] as [(typeof ends)[0], (typeof ends)[0]];
    return {
      send: (sent) => queueMicrotask(() => other.isClosed || other.bytes.forEach((listener) => listener(sent))),
      waiting: () => 0,
      onBytes: (listener) => void mine.bytes.push(listener),
      onEnd: (listener) => void mine.over.push(listener),
      close() {
        if (mine.isClosed) return;
        mine.isClosed = other.isClosed = true;
        queueMicrotask(() => [...mine.over, ...other.over].forEach((listener) => listener()));
      },
      get isClosed() {
        return mine.isClosed;
      },
    };
  };
  return [port(0), port(1)];
}

interface Played {
  readonly port: Port & { readonly isClosed: boolean };
  readonly one: ReturnType<typeof give>;
}

/** The end of one who takes nothing of what is sent. */
function stuck(port: Played["port"]): Played["port"] & { readonly most: number } {
  let waiting = 0;
  const { send, onBytes, onEnd, close } = port;
  return {
    send(bytes) {
      waiting += bytes.length;
      send(bytes);
    },
    waiting: () => waiting,
    onBytes, onEnd, close,
    get isClosed() {
      return port.isClosed;
    },
    get most() {
      return waiting;
    },
  };
}

function played(offer: () => Promise<Offer | undefined> = async () => whole, spend: (bytes: number) => boolean = () => true): Played {
  const [near, far] = line();
  return { port: near, one: give(far, infohash, giver, { place, offer, spend, ended: () => undefined }) };
}

/** The asker's end as the page has it. */
function asked(...how: Parameters<typeof played>): { server: Parameters<typeof getId>[0]; port: Played["port"] } {
  const { port } = played(...how);
  const { fetch, greeting: greeted } = openChannel(port, infohash, asker, new Uint8Array(32));
  return { server: { origin: "http://page", fetch: async (url, init) => (await greeted, fetch(url, init)) }, port };
}

/** One that is written by hand: hears frames. */
function byHand(...how: Parameters<typeof played>): Played & { readonly heard: Frame[]; send(...parts: readonly Uint8Array[]): Promise<void> } {
  const { port, one } = played(...how);
  const heard: Frame[] = [];
  let rest: Uint8Array = new Uint8Array(0);
  let skip = 68;
  port.onBytes((bytes) => {
    rest = concat([rest, bytes]);
    if (skip > 0 && rest.length >= skip) [rest, skip] = [rest.subarray(skip), 0];
    while (skip === 0 && rest.length >= 4) {
      const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0);
      if (rest.length < 4 + length) return;
      const said = readMessage(rest.subarray(4, 4 + length));
      if (said !== undefined && "frame" in said) heard.push({ ...said.frame, payload: said.frame.payload.slice() });
      rest = rest.subarray(4 + length);
    }
  });
  return {
    port, one, heard,
    async send(...parts) {
      port.send(concat(parts));
      await vi.advanceTimersByTimeAsync(0);
    },
  };
}

const hello = concat([handshake(infohash, asker), greeting()]);
const request = (n: number, accept = "application/vnd.ipld.car", more: Record<string, string> = {}): Uint8Array =>
  writeFrame({ type: "request", request: n, payload: writeHead({ method: "GET", path: `/${placeText(place)}`, headers: { accept, "accept-encoding": "gzip", ...more }, length: 0 }) }, 1);
const frame = (type: Frame["type"], n: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array => writeFrame({ type, request: n, payload }, 1);
const statuses = (heard: readonly Frame[]): number[] => heard.filter(({ type }) => type === "answer").map(({ payload }) => readAnswer(payload).status);

describe("a folder", () => {
  test("is given as a server gave it, id and CAR", async () => {
    const { server } = asked();
    const { signal } = new AbortController();
    expect(cidText((await getId(server, place.community, place.topic, signal)) as never)).toBe(id);
    const folder = await getFolder(server, place, signal);
    expect(cidText((folder as NonNullable<typeof folder>).root)).toBe(id);
    const found: string[] = [];
    for await (const { bytes } of (folder as NonNullable<typeof folder>).comments) found.push(fromUTF8(bytes) ?? "");
    expect(found.sort()).toEqual(bodies.map((bytes) => fromUTF8(bytes)).sort());
  });

  test("is the only thing that is given, and nothing is taken", async () => {
    const { server } = asked();
    const { signal } = new AbortController();
    await expect(postDocument(server, place, utf8("Cool!"), signal)).rejects.toMatchObject({ status: 405, code: "method", message: expect.stringContaining("no server") });
    await expect(getId(server, place.community, undefined, signal)).resolves.toBeUndefined();
    await expect(getId(server, place.community, hashOfName("/r/gifs"), signal)).resolves.toBeUndefined();
    await expect(server.fetch("http://page/blocks", { method: "POST", body: "x" })).resolves.toMatchObject({ status: 404 });
  });

  test("that is not here whole is not given", async () => {
    const { server } = asked(async () => undefined);
    await expect(getFolder(server, place, new AbortController().signal)).rejects.toMatchObject({ status: 503, retryAfter: 30 });
    const { server: other } = asked(() => Promise.reject(new Error("no database")));
    await expect(getFolder(other, place, new AbortController().signal)).rejects.toMatchObject({ status: 503 });
  });
});

describe("who asks too much", () => {
  const large: Offer = { id, car: new Uint8Array(3 << 20) };
  const sent = (heard: readonly Frame[]): number => heard.filter(({ type }) => type === "data").reduce((sum, { payload }) => sum + payload.length, 0);

  test("gets no more than was allowed, and never much at once", async () => {
    const { heard, send } = byHand(async () => large);
    await send(hello, request(1));
    expect(sent(heard)).toBe(frameWindow);
    await send(frame("credit", 1, creditOf(1000)));
    expect(sent(heard)).toBe(frameWindow + 1000);
    await send(frame("credit", 1, creditOf(0xffffffff)));
    expect(sent(heard)).toBe(2 * frameWindow + 1000);
    await send(frame("cancel", 1), frame("credit", 1, creditOf(1000)));
    expect(sent(heard)).toBe(2 * frameWindow + 1000);
    expect(heard.some(({ type }) => type === "end")).toBe(false);
  });

  test.each<[string, Offer, (n: number) => Uint8Array]>([
    ["credit", { id, car: new Uint8Array(maxGiven) }, () => frame("credit", 1, creditOf(frameWindow))],
    ["requests", { id, car: new Uint8Array(frameWindow) }, (n) => request(n + 2)],
  ])("and takes nothing fills little of this page's memory: %s", async (_, given, more) => {
    const [near, far] = line();
    const port = stuck(far);
    give(port, infohash, giver, { place, offer: async () => given, spend: () => true, ended: () => undefined });
    near.send(concat([hello, request(1)]));
    for (let n = 0; n < 20; n++) {
      await vi.advanceTimersByTimeAsync(0);
      near.send(Uint8Array.from(more(n)));
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(port.isClosed).toBe(true);
    expect(port.most).toBeGreaterThan(maxWaiting);
    // What one more frame allows, and what it says besides.
    expect(port.most).toBeLessThan(maxWaiting + 1.1 * frameWindow);
  });

  test("gets so many answers at once", async () => {
    const { heard, send } = byHand(async () => large);
    await send(hello, ...Array.from({ length: maxAtOnce + 1 }, (_, n) => request(n + 1)));
    expect(statuses(heard).sort()).toEqual([200, 200, 503]);
    await send(frame("cancel", 1), request(9));
    expect(statuses(heard).sort()).toEqual([200, 200, 200, 503]);
  });

  test("is left after so many requests", async () => {
    const { heard, port, send } = byHand();
    await send(hello);
    for (let n = 1; n <= maxRequests; n++) await send(request(n, "text/plain"));
    expect(statuses(heard)).toHaveLength(maxRequests);
    expect(port.isClosed).toBe(false);
    await send(request(maxRequests + 1, "text/plain"));
    expect(port.isClosed).toBe(true);
  });

  test("is left after so many frames that say nothing", async () => {
    const { port, send } = byHand();
    await send(hello, request(1, "text/plain"));
    await send(...Array.from({ length: maxFrames }, () => frame("cancel", 1)));
    expect(port.isClosed).toBe(false);
    await send(frame("cancel", 1));
    expect(port.isClosed).toBe(true);
  });

  test("is left when he greets too late, or not", async () => {
    const { port, send } = byHand();
    await send(handshake(infohash, asker));
    await vi.advanceTimersByTimeAsync(idleMillis - 1);
    expect(port.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(port.isClosed).toBe(true);
    const other = byHand();
    // A WebTorrent client.
    await other.send(handshake(infohash, asker), Uint8Array.of(0, 0, 0, 4, 20, 0, 0x64, 0x65));
    expect(other.port.isClosed).toBe(true);
  });

  test("is left when he asks nothing", async () => {
    const { port, send, one } = byHand();
    await send(hello, request(1, "text/plain"));
    expect(one.asked).toBe(Date.now());
    await vi.advanceTimersByTimeAsync(idleMillis - 1);
    expect(port.isClosed).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(port.isClosed).toBe(true);
  });

  test.each<[string, readonly Uint8Array[]]>([
    ["another topic", [handshake(hashOfName("other"), asker)]],
    ["a community", [handshake(place.community, asker)]],
    ["no protocol", [new Uint8Array(68)]],
    ["a frame before the greeting", [handshake(infohash, asker), request(1)]],
    ["a message too long", [hello, Uint8Array.of(0, 0, (maxAsk + 1) >> 8, (maxAsk + 1) & 255)]],
    ["an answer", [hello, frame("answer", 0, encode({ status: 200 }))]],
    ["an end", [hello, request(1, "text/plain"), frame("end", 1)]],
    ["a number that was there", [hello, request(2, "text/plain"), request(1, "text/plain")]],
    ["a number that was never there", [hello, frame("cancel", 1)]],
    ["a head that is none", [hello, frame("request", 1, utf8("x"))]],
    ["headers that are none", [hello, frame("request", 1, encode({ headers: { "a b": "c" }, method: "GET", path: "/" }))]],
  ])("ends by %s", async (_, parts) => {
    const { port, send, heard } = byHand();
    await send(...parts);
    expect(port.isClosed).toBe(true);
    expect(statuses(heard).filter((status) => status !== 200)).toEqual([]);
  });

  test("a frame longer than a message may be never gets that far", async () => {
    const { port, send } = byHand();
    await send(hello, Uint8Array.of(0, 0, maxAsk >> 8, maxAsk & 255));
    expect(port.isClosed).toBe(false);
  });
});

describe("what is given", () => {
  test("in an hour", () => {
    const account: Account = openAccount(Date.now);
    expect(account.spend(maxOfAll - 1)).toBe(true);
    expect(account.spend(2)).toBe(false);
    expect(account.spend(1)).toBe(true);
    expect(account.given).toBe(maxOfAll);
    vi.setSystemTime(Date.now() + 3_600_000 - 1);
    expect(account.spend(1)).toBe(false);
    vi.setSystemTime(Date.now() + 1);
    expect(account.given).toBe(0);
    expect(account.spend(1)).toBe(true);
  });

  test("in that hour, and then no more", async () => {
    const { server } = asked(async () => whole, () => false);
    await expect(getFolder(server, place, new AbortController().signal)).rejects.toMatchObject({ status: 429, retryAfter: 600 });
  });

  test("to one reader", async () => {
    const asks: number[] = [];
    const { heard, send } = byHand(async () => ({ id, car: new Uint8Array(maxGiven) }), (bytes) => asks.push(bytes) > 0);
    await send(hello, request(1));
    await send(frame("cancel", 1), request(2));
    await send(request(3, "text/plain"));
    // The second CAR and what an answer counts besides do not fit any more.
    expect(statuses(heard)).toEqual([200, 429, 429]);
    expect(asks).toHaveLength(1);
    expect(2 * maxGiven).toBe(maxOfReader);
  });
});

describe("a CAR of what is kept", () => {
  test("is the folder's, whatever else is kept", () => {
    expect(carOf([...bodies, utf8("not in it"), ...bodies], id, names)).toEqual(carOf(bodies, id, names));
    expect(gunzipSync(whole.car).length).toBeGreaterThan(200);
  });

  test.each<[string, readonly Uint8Array[], string]>([
    ["without one of its files", bodies.slice(1), id],
    ["of another id", bodies, cidText(makeFolder(entries.slice(1), 0).cid)],
    ["with a changed file", [utf8("Cool?"), ...bodies.slice(1)], id],
  ])("is none %s", (_, files, of) => expect(carOf(files, of, names)).toBeUndefined());

  test("of a sharded folder reads back, in both versions", async () => {
    const many = Array.from({ length: 3600 }, (_, n) => utf8(`comment ${n}`));
    for (const version of [0, 1] as const) {
      const all = many.map((bytes) => leafOf(bytes, version).entry);
      const { cid } = makeFolder(all, version);
      const parts = carOf(many, cidText(cid), new Set(all.map(({ name }) => name)));
      const { server } = asked(async () => ({ id: cidText(cid), car: gzipSync(concat(parts ?? [])) }));
      const folder = await getFolder(server, place, new AbortController().signal);
      let count = 0;
      for await (const _ of (folder as NonNullable<typeof folder>).comments) count++;
      expect([cidText((folder as NonNullable<typeof folder>).root), count]).toEqual([cidText(cid), many.length]);
    }
  });
});

test("the infohash of a topic's swarm", () => {
  expect(infohash).toBe(hashOf(utf8(`${place.community}${place.topic}`)));
  expect(infohash).not.toBe(place.community);
});
