// Which way to a server is taken. The servers are played; that each way works is seen with real ones.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pause, race } from "../../src/net/deadline.ts";
import { httpLine } from "../../src/net/http.ts";
import type { PostOutcome, ServerView } from "../../src/net/net.ts";
import { post } from "../../src/net/post.ts";
import { Trouble } from "../../src/net/reasons.ts";
import { createServers, type Line, type Remembered, type Servers } from "../../src/net/servers.ts";
import { reach } from "../../src/net/webtransport.ts";
import { utf8 } from "../../src/protocol/bytes.ts";
import { type Fetch, getHello } from "../../src/protocol/client.ts";
import { hashOf, hashOfName } from "../../src/protocol/hash.ts";
import type { Hello } from "../../src/protocol/hello.ts";
import { hello, keyOf } from "./hellos.ts";
import { type Dialled, play, type Stream } from "./sessions.ts";

const start = Date.parse("2026-11-22T12:00:00Z");
beforeEach(() => void vi.useFakeTimers({ now: start }));
afterEach(() => void vi.useRealTimers());

const pass = (millis: number): Promise<unknown> => vi.advanceTimersByTimeAsync(millis);
const secure = new URL("https://comntr.github.io/page/");
const community = hashOfName("reddit");

/** What a hello says of WebTransport. */
function spoken(digits: string): Record<string, unknown> {
  const at = (days: number): string => new Date(start + days * 86_400_000).toISOString();
  return { port: 4084, hashes: [{ sha256: digits.repeat(32), from: at(-1), to: at(12) }] };
}

const pins = (seed: number, digits = "5c"): { key: string; at: unknown } => ({ key: keyOf(seed), at: spoken(digits) });

/** By HTTP: "silent" servers answer nobody. By WebTransport: of those in `sessions`, by host, the hash of their certificate. */
interface Played {
  readonly page?: URL;
  readonly http?: Record<string, number | "silent">;
  readonly sessions?: Record<string, { readonly seed: number; readonly digits: string; readonly changes?: Record<string, unknown>; readonly millis?: number } | "silent">;
  readonly without?: boolean;
}

interface Made {
  readonly servers: Servers;
  readonly asked: string[];
  readonly ended: string[];
  readonly dialled: Dialled[];
  saved(): Remembered["servers"];
  view(): Partial<ServerView> | undefined;
}

function made({ page = secure, http = {}, sessions = {}, without = false }: Played): Made {
  const asked: string[] = [];
  const ended: string[] = [];
  let saved: Remembered["servers"] = [];
  const fetch: Fetch = (url, { signal }) => {
    const { origin } = new URL(url);
    asked.push(origin);
    const seed = http[origin];
    if (seed === undefined) return Promise.reject(new TypeError("down"));
    signal?.addEventListener("abort", () => ended.push(origin));
    return seed === "silent" ? new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))) : Promise.resolve(new Response(hello(seed, url)));
  };
  const { WebTransport, dialled } = play({
    async ready(url, hashes) {
      const server = sessions[new URL(url).hostname];
      if (server === "silent") return new Promise(() => undefined);
      if (server === undefined || !hashes.includes(server.digits.repeat(32))) throw new Error("Opening handshake failed.");
      return pause(server.millis ?? 0, new AbortController().signal);
    },
    async asked(stream: Stream, url) {
      const { head } = await stream.request;
      const server = sessions[new URL(url).hostname];
      if (typeof server !== "object") return;
      await stream.head({ status: head.method === "POST" ? 201 : 200 });
      const body = head.method === "POST" ? `${hashOf((await stream.request).body)}\n` : hello(server.seed, `${new URL(url).origin}${head.path}`, { webtransport: spoken(server.digits), ...server.changes });
      await stream.say(utf8(body));
      await stream.end();
    },
  });
  const prove = (line: Line, named: boolean, signal: AbortSignal): Promise<Hello> => getHello(line.server, named, signal);
  const servers = createServers({
    page,
    http: (origin) => httpLine(origin, fetch),
    webtransport: without ? undefined : (...where) => reach({ page, WebTransport, hello: prove, now: Date.now }, ...where),
    hello: prove,
    remember: (list) => (saved = list),
    now: Date.now,
  });
  return { servers, asked, ended, dialled, saved: () => saved, view: () => servers.views()[0] };
}

/** What a data channel brings. */
function channel(seed: number, changes: Record<string, unknown> = {}, fetch: Fetch = () => Promise.reject(new TypeError("not asked"))): { line: Line; hello: Hello; close: AbortController } {
  const close = new AbortController();
  const text = (JSON.parse(hello(seed, "http://webrtc/?nonce=00", changes)) as { hello: string }).hello;
  const end = (): void => close.abort(new Trouble("broke", "closed"));
  return { line: { carrier: "webrtc", server: { origin: "http://webrtc", fetch }, closed: close.signal, close: end }, hello: JSON.parse(text) as Hello, close };
}

const known = (origin: string, seed = 1, digits = "5c", named = false): Remembered["servers"][number] => ({ origin, answered: Date.now(), named, pins: pins(seed, digits) });
const name = "https://example.org:8443";
const address = "http://1.1.1.1:4080";

describe("HTTP and WebTransport", () => {
  test("HTTP has a head start, and is enough", async () => {
    const { servers, view, dialled } = made({ http: { [name]: 1 }, sessions: { "example.org": { seed: 1, digits: "5c" } } });
    servers.recall([known(name)]);
    await pass(10_000);
    expect(view()).toMatchObject({ state: "working", carrier: "http", missed: [] });
    expect(dialled).toHaveLength(0);
    servers.close();
  });

  test("what is silent for too long is overtaken, and given up", async () => {
    const { servers, view, dialled, ended } = made({ http: { [name]: "silent" }, sessions: { "example.org": { seed: 1, digits: "5c" } } });
    servers.recall([known(name)]);
    await pass(399);
    expect(dialled).toHaveLength(0);
    await pass(10);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport", missed: [] });
    expect(dialled.map(({ isClosed }) => isClosed)).toEqual([false]);
    expect(ended).toEqual([name]);
    servers.close();
    expect(dialled[0]?.isClosed).toBe(true);
  });

  test("what fails is followed at once, and told", async () => {
    const { servers, view } = made({ sessions: { "example.org": { seed: 1, digits: "5c" } } });
    servers.recall([known(name)]);
    await pass(10);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport", missed: [{ carrier: "http", reason: { code: "unreachable" } }] });
    servers.close();
  });

  test("where all fails, all is told", async () => {
    const { servers, view } = made({});
    servers.recall([known(name)]);
    await pass(10);
    expect(view()).toMatchObject({ state: "failed", missed: [{ carrier: "http", reason: { code: "unreachable" } }, { carrier: "webtransport", reason: { code: "unreachable" } }] });
    servers.close();
  });

  test("where all is silent, too", async () => {
    const { servers, view, dialled } = made({ http: { [name]: "silent" }, sessions: { "example.org": "silent" } });
    servers.recall([known(name)]);
    await pass(8010);
    expect(view()).toMatchObject({ state: "failed", reason: { code: "timeout" } });
    expect(view()?.missed?.map(({ carrier, reason: { code } }) => `${carrier} ${code}`).sort()).toEqual(["http timeout", "webtransport timeout"]);
    expect(dialled[0]?.isClosed).toBe(true);
    servers.close();
  });

  test("where the browser forbids HTTP it is not waited for", async () => {
    const { servers, view, dialled, asked } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c" } } });
    servers.recall([known(address)]);
    await pass(1);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport", origin: address, missed: [] });
    expect([dialled.length, asked.length]).toEqual([1, 0]);
    servers.close();
  });

  test("a browser without it asks by HTTP alone, where it may", async () => {
    const { servers, dialled } = made({ without: true, http: { [name]: 1 } });
    servers.recall([known(name), known(address, 2)]);
    await pass(10_000);
    expect(servers.views()).toMatchObject([{ state: "working", carrier: "http" }, { state: "failed", reason: { code: "mixed-content" } }]);
    expect(dialled).toHaveLength(0);
    servers.close();
  });

  test("a session that ends is opened anew", async () => {
    const { servers, view, dialled } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c" } } });
    servers.recall([known(address)]);
    await pass(1);
    dialled[0]?.end();
    await pass(1);
    expect(view()).toMatchObject({ state: "failed", reason: { code: "broke" } });
    await pass(6000);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport" });
    expect(dialled).toHaveLength(2);
    servers.close();
  });
});

describe("a data channel", () => {
  test("makes way for WebTransport, and the server is known by its address from then on", async () => {
    const { servers, view, dialled, saved } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c" } } });
    // The site names it, which is no use to this page.
    servers.offer(address, "config");
    expect(view()).toMatchObject({ state: "failed", reason: { code: "mixed-content" } });
    const { line, hello: said, close } = channel(1, { urls: ["http://192.168.1.1:4080", address], webtransport: spoken("5c") });
    servers.take(line, said, "1.1.1.1", "tracker");
    expect(servers.views().some(({ carrier, state }) => carrier === "webrtc" && state === "working")).toBe(true);
    await pass(10);
    expect(servers.views()).toMatchObject([{ state: "working", carrier: "webtransport", origin: address, foundBy: "config", id: keyOf(1), missed: [] }]);
    expect(dialled.map(({ url }) => url)).toEqual(["https://1.1.1.1:4084/webtransport"]);
    expect(close.signal.aborted).toBe(true);
    expect(saved()).toMatchObject([{ origin: address, pins: pins(1) }]);
    servers.close();
  });

  test("stays where there is no session, and that is told", async () => {
    const { servers, view } = made({});
    const { line, hello: said, close } = channel(1, { urls: [address], webtransport: spoken("5c") });
    servers.take(line, said, "1.1.1.1", "tracker");
    await pass(10_000);
    expect(servers.views()).toHaveLength(1);
    expect(view()).toMatchObject({ state: "working", carrier: "webrtc", missed: [{ carrier: "webtransport", reason: { code: "unreachable" } }] });
    expect(close.signal.aborted).toBe(false);
    servers.close();
  });

  test("brings the certificates of a server that has others by now", async () => {
    const { servers, view, dialled, saved } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "77" } } });
    servers.recall([known(address)]);
    await pass(1);
    expect(view()).toMatchObject({ state: "failed", reason: { code: "unreachable" } });
    const { line, hello: said } = channel(1, { urls: [address], webtransport: spoken("77") });
    servers.take(line, said, "1.1.1.1", "tracker");
    await pass(10);
    expect(servers.views()).toMatchObject([{ state: "working", carrier: "webtransport", foundBy: "remembered" }]);
    expect(dialled.map(({ hashes }) => hashes)).toEqual([["5c".repeat(32)], ["77".repeat(32)]]);
    expect(saved()).toMatchObject([{ origin: address, pins: pins(1, "77") }]);
    servers.close();
  });

  test("that comes while a session is being opened is used until that fails, and after", async () => {
    const { servers, view } = made({ sessions: { "1.1.1.1": "silent" } });
    servers.recall([known(address)]);
    await pass(100);
    const { line, hello: said } = channel(1, { urls: [address] });
    servers.take(line, said, "1.1.1.1", "tracker");
    await pass(20_000);
    expect(servers.views()).toHaveLength(1);
    expect(view()).toMatchObject({ state: "working", carrier: "webrtc" });
    servers.close();
  });

  test("that comes while a session is being opened makes way for it", async () => {
    const { servers, view } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c", millis: 1000 } } });
    servers.recall([known(address)]);
    await pass(100);
    const { line, hello: said, close } = channel(1);
    servers.take(line, said, "1.1.1.1", "tracker");
    await pass(899);
    expect(view()).toMatchObject({ state: "working", carrier: "webrtc" });
    await pass(10);
    expect(servers.views()).toHaveLength(1);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport" });
    expect(close.signal.aborted).toBe(true);
    servers.close();
  });

  test("is given up for a session once there is one, when a person asks", async () => {
    const sessions: NonNullable<Played["sessions"]> = {};
    const { servers, view, dialled } = made({ sessions });
    const { line, hello: said } = channel(1, { urls: [address], webtransport: spoken("5c") });
    servers.take(line, said, "1.1.1.1", "tracker");
    sessions["1.1.1.1"] = { seed: 1, digits: "5c" };
    await pass(10);
    expect(view()).toMatchObject({ carrier: "webrtc" });
    servers.retry();
    await pass(10);
    expect(view()).toMatchObject({ carrier: "webtransport" });
    expect(dialled).toHaveLength(2);
    servers.close();
  });

  test("that ends is not the end of a server that has a session", async () => {
    const { servers, view } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c" } } });
    servers.recall([known(address)]);
    await pass(1);
    const { line, hello: said, close } = channel(1, { urls: [address], webtransport: spoken("5c") });
    servers.take(line, said, "1.1.1.1", "tracker");
    expect(close.signal.aborted).toBe(true);
    await pass(10);
    expect(servers.views()).toHaveLength(1);
    expect(view()).toMatchObject({ state: "working", carrier: "webtransport" });
    servers.close();
  });

  test("that makes way takes no post with it", async () => {
    const { servers } = made({ sessions: { "1.1.1.1": { seed: 1, digits: "5c" } } });
    const posted: string[] = [];
    const made1 = channel(1, { urls: [address], webtransport: spoken("5c") }, (_, { method = "GET" }) => {
      posted.push(method);
      return new Promise((_, reject) => made1.close.signal.addEventListener("abort", () => reject(made1.close.signal.reason)));
    });
    servers.take(made1.line, made1.hello, "1.1.1.1", "tracker");
    const outcomes: PostOutcome[] = [];
    const posting = post(servers, { community, topic: hashOfName("/r/news") }, utf8("Cool!"), 1, (outcome) => outcomes.push(outcome), new AbortController().signal);
    await pass(10);
    await posting;
    expect(posted).toEqual(["POST"]);
    expect(outcomes).toEqual([{ ok: true, created: true, server: keyOf(1) }]);
    servers.close();
  });
});

describe("private addresses", () => {
  const inside = ["http://192.168.1.1:4080", "http://127.0.0.1:4080", "http://10.0.0.1:80", "https://localhost:4080", "https://router.local:443", "http://169.254.169.254:80", "http://[fd00::1]:4080"];

  test.each([secure, new URL("http://203.0.114.1:4080/"), new URL("file:///home/alice/index.html")])("are dialled by no carrier from %s unless typed", async (page) => {
    const sessions = Object.fromEntries(inside.map((origin, i) => [new URL(origin).hostname, { seed: i + 1, digits: "5c" }]));
    const { servers, dialled, asked } = made({ page, http: Object.fromEntries(inside.map((origin, i) => [origin, i + 1])), sessions });
    // An earlier visit's memory, a server's word for others, a server's word for itself, a tracker's server.
    servers.recall(inside.map((origin, i) => known(origin, i + 1)));
    for (const origin of inside) expect(servers.offer(origin, "hello")).toMatchObject({ code: "private-address" });
    const { line, hello: said } = channel(9, { urls: inside, servers: inside, webtransport: spoken("5c") });
    servers.take(line, said, "8.8.8.8", "tracker");
    await pass(60_000);
    expect([asked, dialled]).toEqual([[], []]);
    // Of an answer to an offer such addresses are cut out: tracker.test.ts.
    servers.close();
  });

  test("that were typed are, and no other of that server", async () => {
    const { servers, dialled } = made({ sessions: { "192.168.1.1": { seed: 1, digits: "5c", changes: { urls: ["http://192.168.1.2:4080", "http://10.0.0.1:80"] } } } });
    servers.recall([known("http://192.168.1.1:4080", 1, "5c", true)]);
    await pass(60_000);
    expect(dialled.map(({ url }) => url)).toEqual(["https://192.168.1.1:4084/webtransport"]);
    servers.close();
    // Nor when the server is met by a data channel.
    const other = made({});
    other.servers.recall([known("http://192.168.1.1:4080", 1, "5c", true)]);
    await pass(1);
    const { line, hello: said } = channel(1, { urls: ["http://192.168.1.2:4080", "http://10.0.0.1:80"], webtransport: spoken("77") });
    other.servers.take(line, said, "8.8.8.8", "tracker");
    await pass(10_000);
    expect(new Set(other.dialled.map(({ url }) => new URL(url).hostname))).toEqual(new Set(["192.168.1.1"]));
    other.servers.close();
  });

  test("are neighbours of a page that stands there", async () => {
    const { servers, dialled } = made({ page: new URL("https://192.168.1.9/"), sessions: { "192.168.1.1": { seed: 1, digits: "5c" } } });
    servers.recall([known("http://192.168.1.1:4080")]);
    await pass(10);
    expect(dialled).toHaveLength(1);
    servers.close();
  });
});

describe("a race", () => {
  const never = new AbortController().signal;

  test("has one winner; what another brings is spare", async () => {
    const spare: string[] = [];
    let both: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (both = resolve));
    const way = (name: string) => async (): Promise<string> => (await gate, name);
    const racing = race([way("a"), way("b")], 400, never, (value) => spare.push(value));
    await pass(400);
    both();
    expect(await racing).toBe("a");
    await pass(1);
    expect(spare).toEqual(["b"]);
  });

  test("ends with who waits for it", async () => {
    const end = new AbortController();
    const signals: AbortSignal[] = [];
    const racing = race([(signal) => (signals.push(signal), new Promise<string>(() => undefined))], 400, end.signal, () => undefined);
    end.abort(new Error("enough"));
    await expect(racing).rejects.toThrow("enough");
    expect(signals[0]?.reason).toMatchObject({ message: "enough" });
    await expect(race([() => Promise.resolve("a")], 400, end.signal, () => undefined)).rejects.toThrow("enough");
  });

  test("that nobody wins ends as the first one did", async () => {
    const fail = (why: string) => () => Promise.reject(new Error(why));
    await expect(race([fail("a"), fail("b")], 400, never, () => undefined)).rejects.toThrow("a");
  });
});
