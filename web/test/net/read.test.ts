import type { ServerResponse } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { concat, utf8, varint } from "../../src/protocol/bytes.ts";
import { carHeader } from "../../src/protocol/car.ts";
import { parseCid } from "../../src/protocol/cidtext.ts";
import { type Hash, hashOfName, type Place } from "../../src/protocol/hash.ts";
import type { Net } from "../../src/net/net.ts";
import { build, community, prepare, proxy, type Proxy, type Served, serveFolder } from "./served.ts";
import { last, open, type Page, shows, watch } from "./watch.ts";

let a: Served;
let b: Served;
let nets: Net[] = [];
let proxies: Proxy[] = [];
let topics = 0;
/** A topic that both servers have found at their start, with more comments than a plain folder lists. */
const sharded: Place = { community, topic: hashOfName("sharded") };

beforeAll(async () => {
  build();
  const bodies = Array.from({ length: 3600 }, (_, i) => utf8(`comment ${i}`));
  [a, b] = await Promise.all([0, 1].map(() => serveFolder(prepare(sharded, bodies)))) as [Served, Served];
}, 300_000);

afterEach(async () => {
  for (const net of nets.splice(0)) net.close();
  await Promise.all(proxies.splice(0).map((each) => each.stop()));
});

afterAll(() => Promise.all([a, b].map((each) => each.stop())), 60_000);

/** A topic that no other test uses. */
function fresh(): Place {
  return { community, topic: hashOfName(`topic ${topics++}`) };
}

function page(...args: Parameters<typeof open>): Page {
  const net = open(...args);
  nets.push(net);
  return net;
}

async function before(...args: Parameters<typeof proxy>): Promise<Proxy> {
  const made = await proxy(...args);
  proxies.push(made);
  return made;
}

/** Posts comments to servers, some at once. */
async function fill(servers: readonly Served[], place: Place, from: number, to: number): Promise<Hash[]> {
  const ids: Hash[] = [];
  let next = from;
  const work = async (): Promise<void> => {
    while (next < to) {
      const body = utf8(`comment ${next++} ${"x".repeat(100)}`);
      const [id] = await Promise.all(servers.map((server) => server.post(place, body)));
      ids.push(id as Hash);
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return ids;
}

const isWhole = ({ accept }: { readonly accept: string }): boolean => accept.includes("ipld.car");

describe("two servers", () => {
  test("that agree: one gives all, the other its id", async () => {
    const place = fresh();
    const ids = await fill([a, b], place, 0, 300);
    const [first, second] = [await before(a.origin), await before(b.origin)];
    const net = page({ servers: [first.origin, second.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("both", ({ agreements }) => last(agreements) === "2/2");
    expect([...seen.bodies.keys()].sort()).toEqual(ids.sort());
    expect(seen.states).toEqual(["searching", "reading", "live"]);
    expect(seen.totals).toEqual([300]);
    expect(seen.batches[0]?.size).toBeLessThanOrEqual(50);
    const asked = [...first.asked, ...second.asked];
    expect(asked.filter(isWhole).length).toBe(1);
    expect(asked.filter(({ method }) => method === "POST")).toEqual([]);
  });

  test("that differ: of the second only what differs", async () => {
    const place = fresh();
    const common = await fill([a, b], place, 0, 300);
    const onlyA = await fill([a], place, 300, 310);
    const onlyB = await fill([b], place, 310, 330);
    const [first, second] = [await before(a.origin), await before(b.origin)];
    const net = page({ servers: [first.origin, second.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("all", ({ bodies, agreements }) => bodies.size === 330 && last(agreements) === "1/2");
    expect([...seen.bodies.keys()].sort()).toEqual([...common, ...onlyA, ...onlyB].sort());
    const walked = [...first.asked, ...second.asked].filter(({ path }) => path === "/blocks").flatMap(({ body }) => body.split("\n"));
    // The node of the folder, and the comments that are missing.
    expect(walked.length).toBeLessThanOrEqual(21);
  });

  test("that differ in sharded folders: only the shards that do", async () => {
    const place = sharded;
    await fill([b], place, 3600, 3603);
    const [first, second] = [await before(a.origin), await before(b.origin)];
    const net = page({ servers: [first.origin] });
    const seen = watch(false);
    net.read(place, new Set(), seen);
    await seen.until("the first", ({ bodies }) => bodies.size === 3600);
    await net.add(second.origin);
    await seen.until("all", ({ bodies, agreements }) => bodies.size === 3603 && last(agreements) === "1/2");
    const walked = second.asked.filter(({ path }) => path === "/blocks").flatMap(({ body }) => body.split("\n"));
    // The root, three shards and perhaps one below, three comments.
    expect(walked.length).toBeLessThanOrEqual(12);
    expect(seen.totals).toEqual([3600]);
  });

  test("tell what only one of them has", async () => {
    const place = fresh();
    await fill([a, b], place, 0, 10);
    const [alone] = await fill([b], place, 10, 11);
    const net = page({ servers: [a.origin, b.origin] }, { bounds: { tick: 100, recheck: 50, alone: 300 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("alone", (each) => each.alone.size === 1);
    expect([...seen.alone]).toEqual([alone]);
    // Not so soon.
    const [patient, asked] = [watch(), await before(a.origin)];
    page({ servers: [asked.origin, b.origin] }, { bounds: { tick: 20, recheck: 20, alone: 1e6 } }).read(place, new Set(), patient);
    await shows(net, "several times", () => asked.asked.filter(({ accept }) => accept === "text/plain").length > 5);
    expect([last(patient.agreements), patient.alone.size]).toEqual(["1/2", 0]);
    await fill([a], place, 10, 11);
    await seen.until("not alone", (each) => each.alone.size === 0 && last(each.agreements) === "2/2");
  });

  test("of which one dies midway", async () => {
    const place = fresh();
    const ids = await fill([a, b], place, 0, 2000);
    const dying = await before(a.origin);
    dying.rule = (request) => (isWhole(request) ? { change: (part, at) => (at > 250_000 ? undefined : part) } : undefined);
    const net = page({ servers: [dying.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("some", ({ bodies }) => bodies.size > 50);
    expect(seen.bodies.size).toBeLessThan(2000);
    await net.add(b.origin);
    await seen.until("all", ({ bodies, states }) => bodies.size === 2000 && last(states) === "live");
    expect([...seen.bodies.keys()].sort()).toEqual(ids.sort());
    expect(net.servers().find(({ origin }) => origin === dying.origin)).toMatchObject({ reason: { code: "broke" } });
  });

  test("of which one says nothing: what the other has counts as all after a while", async () => {
    const place = fresh();
    const silent = await before(a.origin);
    silent.rule = ({ path }) => (path.endsWith(place.topic) ? { wait: new Promise(() => undefined) } : undefined);
    const net = page({ servers: [silent.origin] }, { bounds: { headStart: 50, others: 50, answer: 60_000 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "asked", () => silent.asked.some(({ path }) => path.endsWith(place.topic)));
    await net.add(b.origin);
    await seen.until("empty", ({ states }) => last(states) === "empty");
    await b.post(place, utf8("the first"));
    await seen.until("live", ({ states, bodies }) => last(states) === "live" && bodies.size === 1);
  });

  test("what came is shown while the rest is waited for", async () => {
    const place = fresh();
    await fill([a], place, 0, 100);
    const slow = await before(a.origin);
    let release = (): void => undefined;
    const until = new Promise<void>((resolve) => (release = resolve));
    // Behind the folder's node, of 9 KB, and some comments.
    slow.rule = (request) => (isWhole(request) ? { hold: { after: 12_400, until } } : undefined);
    const net = page({ servers: [slow.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("some", ({ bodies }) => bodies.size > 0);
    // Less than a batch.
    expect(seen.bodies.size).toBeLessThan(50);
    expect(last(seen.states)).toBe("reading");
    release();
    await seen.until("all", ({ bodies, states }) => bodies.size === 100 && last(states) === "live");
  });

  test("of which one is slow: it is not waited for", async () => {
    const place = fresh();
    await fill([a, b], place, 0, 100);
    const slow = await before(a.origin);
    let release = (): void => undefined;
    const wait = new Promise<void>((resolve) => (release = resolve));
    slow.rule = (request) => (isWhole(request) ? { wait } : undefined);
    const net = page({ servers: [slow.origin] }, { bounds: { headStart: 100 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "asked", () => slow.asked.some(isWhole));
    await net.add(b.origin);
    await seen.until("all", ({ bodies }) => bodies.size === 100);
    release();
    await seen.until("both", ({ agreements }) => last(agreements) === "2/2");
    expect(seen.batches.every(({ server }) => server === b.key)).toBe(true);
  });
});

describe("a server that lies", () => {
  test.each([
    ["within a comment", 5000],
    ["within the folder's node", 200],
  ])("flips a bit %s: it is left, and another one is read", async (_, where) => {
    const place = fresh();
    const ids = await fill([a, b], place, 0, 30);
    const lying = await before(a.origin);
    lying.rule = (request) =>
      isWhole(request)
        ? {
            change(part, at) {
              const changed = Buffer.from(part);
              if (at <= where && where < at + part.length) changed[where - at] = (changed[where - at] as number) ^ 1;
              return changed;
            },
          }
        : undefined;
    const net = page({ servers: [lying.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "lied", (views) => views.some(({ origin, state, reason }) => origin === lying.origin && state === "lied" && reason?.code === "lied"));
    await net.add(b.origin);
    await seen.until("all", ({ states }) => last(states) === "live");
    expect([...seen.bodies.keys()].sort()).toEqual(ids.sort());
    const asked = lying.asked.length;
    // Its key is known: another address does not help it.
    const again = await net.add(a.origin);
    expect(again).toMatchObject({ state: "lied" });
    expect(lying.asked.length).toBe(asked);
  });

  test("gives another comment by name", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const lying = await before(a.origin);
    lying.rule = ({ path }) => (path.split("/").length === 4 ? { status: 200, body: "Something else" } : undefined);
    const net = page({ servers: [lying.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "listening", () => lying.asked.some(({ path }) => path.includes("/events")));
    await seen.until("live", ({ states }) => last(states) === "live");
    // What is posted before the server knows its listener is not told of.
    let news = 0;
    const again = setInterval(() => void a.post(place, utf8(`news ${news++}`)), 300);
    await shows(net, "lied", (views) => views[0]?.state === "lied").finally(() => clearInterval(again));
    expect(seen.bodies.size).toBe(3);
  });

  test("lists comments and does not give them: another one of the same folder does", async () => {
    const place = fresh();
    await fill([a, b], place, 0, 300);
    const held = watch();
    const first = page({ servers: [b.origin] });
    first.read(place, new Set(), held);
    await held.until("all", ({ bodies }) => bodies.size === 300);
    first.close();
    const ids = await fill([a, b], place, 300, 310);
    const withholding = await before(a.origin);
    // A CAR with no block in it, but for the folder's node.
    let nodes = 0;
    withholding.rule = ({ path, body }) => {
      if (path === "/blocks" && nodes++ > 0) return { status: 200, body: emptyCar(body.split("\n")[0] as string) };
      return path.split("/").length === 4 ? { status: 404, body: "{}" } : undefined;
    };
    const net = page({ servers: [withholding.origin] });
    const seen = watch();
    net.read(place, new Set(held.bodies.keys()), seen);
    await seen.until("live", ({ states }) => last(states) === "live");
    expect(seen.bodies.size).toBe(0);
    expect(seen.folders).toEqual([]);
    await net.add(b.origin);
    await seen.until("all", ({ bodies }) => bodies.size === 10);
    expect([...seen.bodies.keys()].sort()).toEqual(ids.sort());
  });
});

describe("a server that refuses", () => {
  test("for a while (429): it is asked again when it said", async () => {
    const place = fresh();
    await fill([a], place, 0, 5);
    const resting = await before(a.origin);
    let refusals = 0;
    resting.rule = (request) =>
      isWhole(request) && refusals++ === 0
        ? { status: 429, headers: { "Retry-After": "1" }, body: JSON.stringify({ code: "rate-limited", detail: "wait a second", retryAfter: 1 }) }
        : undefined;
    const net = page({ servers: [resting.origin] });
    const seen = watch();
    const began = Date.now();
    net.read(place, new Set(), seen);
    await shows(net, "the reason", (views) => views[0]?.reason?.code === "rate-limited" && views[0].state === "working");
    await seen.until("all", ({ bodies, states }) => bodies.size === 5 && last(states) === "live");
    expect(Date.now() - began).toBeGreaterThanOrEqual(1000);
    expect(net.servers()[0]?.reason).toBeUndefined();
  });

  test("for good (451): another one is read", async () => {
    const place = fresh();
    await fill([b], place, 0, 5);
    const denying = await before(a.origin);
    denying.rule = ({ path }) => (path.endsWith(place.topic) ? { status: 451, body: JSON.stringify({ code: "denied", detail: "not here" }) } : undefined);
    const net = page({ servers: [denying.origin, b.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("all", ({ bodies, states }) => bodies.size === 5 && last(states) === "live");
    await shows(net, "the reason", (views) => views.some(({ origin, reason }) => origin === denying.origin && reason?.code === "denied"));
    await seen.until("one", ({ agreements }) => last(agreements) === "1/1");
  });

  test("comments that are gone (410)", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const forgetful = await before(a.origin);
    forgetful.rule = ({ path }) => (path.split("/").length === 4 ? { status: 410, body: JSON.stringify({ code: "gone", detail: "removed by its author" }) } : undefined);
    const net = page({ servers: [forgetful.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "listening", () => forgetful.asked.some(({ path }) => path.includes("/events")));
    // What is posted before the server knows its listener is not told of.
    let news = 0;
    const again = setInterval(() => void a.post(place, utf8(`soon gone ${news++}`)), 300);
    await shows(net, "asked", () => forgetful.asked.some(({ path }) => path.split("/").length === 4)).finally(() => clearInterval(again));
    await seen.until("live", ({ states }) => last(states) === "live");
    expect(net.servers()[0]).toMatchObject({ state: "working" });
  });

  test("blocks: then the whole folder is read", async () => {
    const place = fresh();
    await fill([a], place, 0, 5);
    await fill([b], place, 3, 8);
    const closed = await before(b.origin);
    closed.rule = ({ path }) => (path === "/blocks" ? { status: 404, body: "{}" } : undefined);
    const net = page({ servers: [a.origin] }, { bounds: { tick: 50 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("five", ({ bodies }) => bodies.size === 5);
    await net.add(closed.origin);
    await seen.until("all", ({ bodies }) => bodies.size === 8);
    await fill([b], place, 8, 9);
    await seen.until("another", ({ bodies }) => bodies.size === 9);
    expect(closed.asked.filter(({ path }) => path === "/blocks").length).toBe(1);
  });
});

describe("what is held", () => {
  test("is not brought again", async () => {
    const place = fresh();
    await fill([a], place, 0, 300);
    const seen = watch();
    page({ servers: [a.origin] }).read(place, new Set(), seen);
    await seen.until("all", ({ folders }) => folders.length === 1);
    const [id] = seen.folders;
    const held = new Set(seen.bodies.keys());

    const [same, more] = [await before(a.origin), await before(a.origin)];
    const nothing = watch();
    page({ servers: [same.origin] }).read(place, held, nothing, id);
    await nothing.until("live", ({ states }) => last(states) === "live");
    expect(nothing.bodies.size).toBe(0);
    expect(nothing.totals).toEqual([300]);
    expect(same.asked.filter((request) => isWhole(request) || request.path === "/blocks")).toEqual([]);

    await fill([a], place, 300, 303);
    const three = watch();
    page({ servers: [more.origin] }).read(place, held, three, id);
    await three.until("three", ({ folders }) => folders.length === 1);
    expect(three.bodies.size).toBe(3);
    expect(more.asked.filter(isWhole)).toEqual([]);
  });

  test("of a small folder: a 304", async () => {
    const place = fresh();
    await fill([a], place, 0, 5);
    const seen = watch();
    page({ servers: [a.origin] }).read(place, new Set(), seen);
    await seen.until("all", ({ folders }) => folders.length === 1);
    const same = await before(a.origin);
    const nothing = watch();
    page({ servers: ["."] }, { page: new URL(`${same.origin}/`) }).read(place, new Set(seen.bodies.keys()), nothing, seen.folders[0]);
    await nothing.until("live", ({ states }) => last(states) === "live");
    expect(nothing.bodies.size).toBe(0);
    expect(same.asked.find(isWhole)?.ifNoneMatch).toBe(`W/"${seen.folders[0]}.car"`);
  });
});

describe("news", () => {
  test("comes as it is posted, and after a connection that broke", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const line = await before(a.origin);
    const net = page({ servers: [line.origin] }, { bounds: { reconnect: 20, lastReconnect: 50 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("live", ({ states }) => last(states) === "live");
    const streams = (): Proxy["asked"] => line.asked.filter(({ path }) => path.includes("/events"));
    await shows(net, "listening", () => streams().length === 1);
    await a.post(place, utf8("the fourth"));
    await seen.until("four", ({ bodies }) => bodies.size === 4);
    line.cut();
    await a.post(place, utf8("the fifth"));
    await seen.until("five", ({ bodies }) => bodies.size === 5);
    await shows(net, "listening again", () => streams().length > 1);
    expect(last(streams())?.lastEventId).toMatch(/^[0-9a-f]{16}-\d+$/);
    expect(seen.states.filter((state) => state === "live").length).toBe(1);
  });

  test("comes from another server when the one that was listened to is gone", async () => {
    const place = fresh();
    await fill([a, b], place, 0, 3);
    const lines = [await before(a.origin), await before(b.origin)];
    const net = page({ servers: lines.map(({ origin }) => origin) }, { bounds: { reconnect: 20, lastReconnect: 50 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    const listened = (): Proxy | undefined => lines.find(({ asked }) => asked.some(({ path }) => path.includes("/events")));
    await shows(net, "listening", () => listened() !== undefined);
    await seen.until("both", ({ agreements }) => last(agreements) === "2/2");
    const gone = listened() as Proxy;
    const other = lines.find((line) => line !== gone) as Proxy;
    await gone.stop();
    await shows(net, "listening to the other", () => other.asked.some(({ path }) => path.includes("/events")));
    await (other === lines[0] ? a : b).post(place, utf8("the fourth"));
    await seen.until("four", ({ bodies }) => bodies.size === 4);
    await shows(net, "the reason", (views) => views.some(({ origin, state }) => origin === gone.origin && state === "failed"));
    await seen.until("one", ({ agreements }) => last(agreements) === "1/1");
  });

  test("is found by looking again where there are no events", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const line = await before(a.origin);
    line.rule = ({ path }) => (path.includes("/events") ? { status: 503, body: JSON.stringify({ code: "busy" }) } : undefined);
    const net = page({ servers: [line.origin] }, { bounds: { tick: 100 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("live", ({ states }) => last(states) === "live");
    await a.post(place, utf8("the fourth"));
    await seen.until("four", ({ bodies }) => bodies.size === 4);
  });

  test("resets have the folder read again", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const line = await before(a.origin);
    let events: ServerResponse | undefined;
    line.rule = ({ path }) =>
      path.includes("/events")
        ? {
            take(answer) {
              events = answer;
              answer.writeHead(200).write("id: x-1\n\n");
            },
          }
        : undefined;
    const net = page({ servers: [line.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    const looked = (): number => line.asked.filter(({ path, accept }) => path.endsWith(place.topic) && accept === "text/plain").length;
    // Once the stream has begun: what was posted before it did.
    await shows(net, "looked again", () => looked() === 1);
    await a.post(place, utf8("not told of"));
    events?.write("event: reset\ndata: {}\n\n");
    await seen.until("four", ({ bodies }) => bodies.size === 4);
    expect(looked()).toBe(2);
  });

  test("of a topic that nobody had posted to", async () => {
    const place = fresh();
    const net = page({ servers: [a.origin, b.origin] });
    const seen = watch();
    net.read(place, new Set(), seen);
    await seen.until("empty", ({ states, agreements }) => last(states) === "empty" && last(agreements) === "2/2");
    await fill([a, b], place, 0, 1);
    await seen.until("one", ({ bodies, states }) => bodies.size === 1 && last(states) === "live");
  });
});

describe("bounds", () => {
  test("of a server's comments", async () => {
    const place = fresh();
    await fill([a], place, 0, 60);
    const net = page({ servers: [a.origin] }, { bounds: { documents: 55 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "too much", (views) => views[0]?.reason?.code === "too-much");
    expect(seen.bodies.size).toBeLessThanOrEqual(55);
  });

  test("of a server's bytes", async () => {
    const place = fresh();
    await fill([a], place, 0, 60);
    const net = page({ servers: [a.origin] }, { bounds: { bytes: 2000 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "too much", (views) => views[0]?.reason?.code === "too-much");
    expect(seen.bytes).toBeLessThanOrEqual(2000);
  });

  test("of the nodes of a walk", async () => {
    const place = fresh();
    await fill([a], place, 0, 3);
    const net = page({ servers: [a.origin] }, { bounds: { nodes: 0, wholeBelow: 0 } });
    const seen = watch();
    net.read(place, new Set(), seen);
    await shows(net, "too much", (views) => views[0]?.reason?.code === "too-much");
    expect(seen.bodies.size).toBe(0);
  });

  test("of time", async () => {
    const place = fresh();
    const silent = await before(a.origin);
    silent.rule = (request) => (isWhole(request) ? { wait: new Promise(() => undefined) } : undefined);
    const net = page({ servers: [silent.origin] }, { bounds: { answer: 100 } });
    net.read(place, new Set(), watch());
    await shows(net, "timeout", (views) => views[0]?.reason?.code === "timeout");
  });

  test("nothing comes after close", async () => {
    const place = fresh();
    await fill([a], place, 0, 300);
    const net = page({ servers: [a.origin] });
    const seen = watch();
    const reader = net.read(place, new Set(), {
      ...seen,
      files(files, server) {
        seen.files(files, server);
        reader.close();
      },
    });
    await seen.until("some", ({ bodies }) => bodies.size > 0);
    await a.post(place, utf8("more"));
    const other = watch();
    net.read(place, new Set(), other);
    await other.until("all", ({ bodies }) => bodies.size === 301);
    expect(seen.batches.length).toBe(1);
  });
});

test("no server: it says so, and goes on when there is one", async () => {
  const place = fresh();
  await fill([a], place, 0, 3);
  const net = page({}, { bounds: { grace: 50 } });
  const seen = watch();
  net.read(place, new Set(), seen);
  await seen.until("unreachable", ({ states }) => last(states) === "unreachable");
  expect(seen.states).toEqual(["searching", "unreachable"]);
  await net.add(a.origin);
  await seen.until("live", ({ states, bodies }) => last(states) === "live" && bodies.size === 3);
});

/** A CAR without blocks, with this root. */
function emptyCar(root: string): Uint8Array {
  const cid = parseCid(root);
  if (cid === undefined) throw new Error(root);
  const header = carHeader(cid);
  return concat([Uint8Array.of(...varint(header.length)), header]);
}
