import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { PostOutcome } from "../../src/net/net.ts";
import { post, triesEach } from "../../src/net/post.ts";
import { maxServers, type Peer, type Servers } from "../../src/net/servers.ts";
import { parseTopics } from "../../src/net/topics.ts";
import { utf8 } from "../../src/protocol/bytes.ts";
import { payWork, signDraft } from "../../src/protocol/build.ts";
import { getComment } from "../../src/protocol/client.ts";
import { isRefusal } from "../../src/protocol/document.ts";
import { hashOf, hashOfName, type Place } from "../../src/protocol/hash.ts";
import { Lie } from "../../src/protocol/lie.ts";
import { publicKey } from "../../src/protocol/signature.ts";
import { toHex } from "../../src/protocol/bytes.ts";
import { build, community, proxy, type Proxy, serve, type Served } from "./served.ts";
import { open, posted, type Page, shows } from "./watch.ts";

let a: Served;
let b: Served;
let dear: Served;
const nets: Page[] = [];
const proxies: Proxy[] = [];
const place: Place = { community, topic: hashOfName("/r/news") };

beforeAll(async () => {
  build();
  [a, b, dear] = await Promise.all([serve(), serve(), serve("--min-work", "8")]);
}, 300_000);

afterEach(async () => {
  for (const net of nets.splice(0)) net.close();
  await Promise.all(proxies.splice(0).map((each) => each.stop()));
});

afterAll(() => Promise.all([a, b, dear].map((each) => each.stop())), 60_000);

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

async function has(server: Served, bytes: Uint8Array): Promise<boolean> {
  const signal = AbortSignal.timeout(60_000);
  return getComment({ origin: server.origin, fetch: (url, init) => fetch(url, init) }, place, hashOf(bytes), signal).then(
    () => true,
    () => false,
  );
}

/** A server of a crowd, which answers each post the same. */
function peer(key: string, status: number, body = ""): Peer {
  const line = { carrier: "http", server: { origin: `http://${key}.test`, fetch: async () => new Response(body, { status }) } };
  return { key, network: key, line, gone: new AbortController().signal } as unknown as Peer;
}

/** More servers than a test can start. */
function crowdOf(peers: readonly Peer[]): Servers {
  const nothing = (): void => undefined;
  return { want: nothing, first: async () => undefined, peers: () => [...peers], good: nothing, failed: nothing, remark: nothing } as unknown as Servers;
}

test("goes to two servers", async () => {
  const net = page({ servers: [a.origin, b.origin] });
  const bytes = utf8("to both");
  await shows(net, "two", (views) => views.filter(({ state }) => state === "working").length === 2);
  const outcomes = await posted(net, place, bytes, 2);
  expect(outcomes.map(({ server }) => server).sort()).toEqual([a.key, b.key].sort());
  expect(outcomes.every((outcome) => outcome.ok && outcome.created)).toBe(true);
  expect(await posted(net, place, bytes, 1)).toMatchObject([{ ok: true, created: false }]);
  expect([await has(a, bytes), await has(b, bytes)]).toEqual([true, true]);
});

test("waits for the first server to prove itself", async () => {
  const net = page({ servers: [a.origin] });
  expect(await posted(net, place, utf8("at once"), 2)).toMatchObject([{ ok: true, server: a.key }]);
});

test("goes to another server where one refuses, and tells both", async () => {
  const full = await before(a.origin, ({ method }) => (method === "POST" ? { status: 507, body: JSON.stringify({ code: "full", detail: "no room" }) } : undefined));
  const net = page({ servers: [full.origin, b.origin] });
  await shows(net, "two", (views) => views.filter(({ state }) => state === "working").length === 2);
  const outcomes = await posted(net, place, utf8("refused once"), 2);
  expect(outcomes).toHaveLength(2);
  expect(outcomes.find(({ ok }) => !ok)).toMatchObject({ server: a.key, code: "full", detail: "no room" });
  expect(outcomes.find(({ ok }) => ok)).toMatchObject({ server: b.key });
});

test("one server's refusal, however final, is not the network's", async () => {
  const refusing = await before(a.origin, ({ method }) => (method === "POST" ? { status: 400, body: JSON.stringify({ code: "bad-signature", detail: "so it says" }) } : undefined));
  // The one that refuses is the faster one, and so is asked first.
  const slow = await before(b.origin, ({ method }) => (method === "GET" ? { wait: new Promise((resolve) => setTimeout(resolve, 300)) } : undefined));
  const net = page({ servers: [refusing.origin, slow.origin] });
  await shows(net, "two", (views) => views.filter(({ state }) => state === "working").length === 2);
  const bytes = utf8("a good one");
  const outcomes = await posted(net, place, bytes, 1);
  expect(outcomes.find(({ ok }) => !ok)).toMatchObject({ server: a.key, code: "bad-signature" });
  expect(outcomes.find(({ ok }) => ok)).toMatchObject({ server: b.key });
  expect(await has(b, bytes)).toBe(true);
});

test("as long as none took it each is tried, once", async () => {
  const net = page({ servers: [a.origin, b.origin, dear.origin] });
  await shows(net, "three", (views) => views.filter(({ state }) => state === "working").length === 3);
  const outcomes = await posted(net, place, utf8("a\0b"), 1);
  expect(outcomes.map(({ server }) => server).sort()).toEqual([a, b, dear].map(({ key }) => key).sort());
  expect(outcomes).toMatchObject([a, b, dear].map(() => ({ ok: false, code: "nul" })));
});

test("however many refuse it, it gets to the one that takes it", async () => {
  const crowd: Peer[] = Array.from({ length: maxServers - 1 }, (_, i) => peer(`${i}`, 400));
  const outcomes: PostOutcome[] = [];
  const bytes = utf8("through a crowd");
  await post(crowdOf([...crowd, peer("good", 201, `${hashOf(bytes)}\n`)]), place, bytes, 1, (outcome) => outcomes.push(outcome), AbortSignal.timeout(60_000));
  expect(outcomes).toHaveLength(maxServers);
  expect(outcomes.at(-1)).toMatchObject({ ok: true, server: "good" });
});

test("once one took it a second copy is worth a few tries", async () => {
  const bytes = utf8("one copy");
  const outcomes: PostOutcome[] = [];
  const crowd: Peer[] = Array.from({ length: maxServers - 1 }, (_, i) => peer(`${i}`, 400));
  await post(crowdOf([peer("good", 201, `${hashOf(bytes)}\n`), ...crowd]), place, bytes, 2, (outcome) => outcomes.push(outcome), AbortSignal.timeout(60_000));
  expect(outcomes).toHaveLength(2 * triesEach);
});

test("says how much work a server wants, and posts when it is paid", async () => {
  const net = page({ servers: [dear.origin] });
  expect(await posted(net, place, utf8("for nothing"), 1)).toMatchObject([{ ok: false, code: "work-needed", work: 8 }]);
  expect(net.servers()[0]).toMatchObject({ limits: { work: 8 }, state: "working" });
  const seed = new Uint8Array(32).fill(7);
  const signed = signDraft(payWork({ place, body: "paid" }, toHex(publicKey(seed)), 8), seed);
  if (isRefusal(signed)) throw new Error(signed.code);
  expect(await posted(net, place, signed.bytes, 1)).toMatchObject([{ ok: true }]);
});

test("a rest that a server asks for is told", async () => {
  const busy = await before(a.origin, ({ method }) => (method === "POST" ? { status: 429, body: JSON.stringify({ code: "rate-limited", detail: "wait", retryAfter: 7 }) } : undefined));
  const net = page({ servers: [busy.origin] });
  expect(await posted(net, place, utf8("too fast"), 1)).toMatchObject([{ ok: false, code: "rate-limited", retryAfter: 7 }]);
  expect(net.servers()[0]).toMatchObject({ state: "working", reason: { code: "rate-limited" } });
});

test("a connection that breaks is tried once more", async () => {
  let posts = 0;
  const breaking = await before(a.origin, ({ method }) => (method === "POST" && posts++ === 0 ? { change: () => undefined } : undefined));
  const net = page({ servers: [breaking.origin] });
  const bytes = utf8("broken once");
  const outcomes = await posted(net, place, bytes, 1);
  // The first one was stored before the answer was lost.
  expect(outcomes).toMatchObject([{ ok: true, created: false }]);
});

test("a server that answers with another comment lied", async () => {
  const lying = await before(a.origin, ({ method }) => (method === "POST" ? { status: 201, body: `${hashOf(utf8("other"))}\n` } : undefined));
  const net = page({ servers: [lying.origin] });
  expect(await posted(net, place, utf8("this one"), 1)).toMatchObject([{ ok: false, code: "lied" }]);
  expect(net.servers()[0]).toMatchObject({ state: "lied" });
});

test("with no server, and stopped", async () => {
  const net = page({});
  const stop = new AbortController();
  const outcomes: unknown[] = [];
  const done = net.post(place, utf8("to nobody"), 2, (outcome) => outcomes.push(outcome), stop.signal);
  stop.abort();
  await done;
  expect(outcomes).toMatchObject([{ ok: false, code: "stopped" }]);
});

test("active topics: of several servers, named by their hash", async () => {
  const list = (topics: unknown): string => JSON.stringify({ topics });
  const entry = (name: string, comments: number, last?: string): unknown => ({ topic: hashOfName(name), name, comments, ...(last === undefined ? {} : { last }) });
  const answers = [
    list([entry("one", 3, "2026-11-22T10:00:00Z"), { topic: hashOfName("two"), name: "other", comments: 1 }, { topic: hashOfName("unnamed"), comments: 1 }]),
    list([entry("one", 5, "2026-11-22T09:00:00Z"), entry("three", 1, "2026-11-22T11:00:00Z"), entry("four", -1, "soon"), 7, null]),
  ];
  const servers = await Promise.all([a, b].map((server, i) => before(server.origin, ({ path }) => (path === `/${community}/topics` ? { status: 200, body: answers[i] as string } : undefined))));
  const net = page({ servers: servers.map(({ origin }) => origin) });
  await shows(net, "two", (views) => views.filter(({ state }) => state === "working").length === 2);
  const topics = await net.active(community, AbortSignal.timeout(60_000));
  expect(topics.map(({ name, comments, last }) => [name, comments, last])).toEqual([
    ["three", 1, Date.UTC(2026, 10, 22, 11)],
    ["one", 5, Date.UTC(2026, 10, 22, 9)],
    ["four", 0, undefined],
  ]);
});

test("a list of topics that is none", () => {
  for (const text of ["", "[]", "null", '{"topics":{}}']) expect(() => parseTopics(utf8(text))).toThrow(Lie);
});
