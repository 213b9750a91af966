import { describe, expect, test, vi } from "vitest";
import type { Line } from "../../src/net/servers.ts";
import { maxBody, maxFields, maxHead, maxHosts, maxStreams, openSession, reach, readPins, sessionAt } from "../../src/net/webtransport.ts";
import { concat, utf8 } from "../../src/protocol/bytes.ts";
import { readBody } from "../../src/protocol/client.ts";
import type { Hello } from "../../src/protocol/hello.ts";
import { Lie } from "../../src/protocol/lie.ts";
import { type Dialled, type Play, play, type Stream } from "./sessions.ts";

const origin = "https://192.0.2.1:4084";
const hash = "5c".repeat(32);
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const never = new AbortController().signal;

async function opened(how: Play = {}): Promise<{ readonly line: Line; readonly session: Dialled }> {
  const { WebTransport, dialled } = play(how);
  const line = await openSession(origin, [hash], WebTransport, never);
  return { line, session: dialled[0] as Dialled };
}

const get = ({ server }: Line, path: string, init: RequestInit = {}): Promise<Response> => server.fetch(`${origin}${path}`, init);

/** Asks, and gives the stream too. */
async function asked(how: Play = {}, init: RequestInit = {}): Promise<{ readonly line: Line; readonly session: Dialled; readonly stream: Stream; readonly answer: Promise<Response> }> {
  const { line, session } = await opened(how);
  const answer = get(line, "/a/b?c=d", init);
  answer.catch(() => undefined);
  await tick();
  return { line, session, stream: session.streams[0] as Stream, answer };
}

const ok = { status: 200, headers: { "content-type": "text/plain" } };

describe("a session", () => {
  test("is asked for by the hashes, at its path", async () => {
    const { session, line } = await opened();
    expect(session).toMatchObject({ url: `${origin}/webtransport`, hashes: [hash] });
    expect(line).toMatchObject({ carrier: "webtransport", server: { origin } });
  });

  test("that is not opened is no line", async () => {
    const { WebTransport, dialled } = play({ ready: () => Promise.reject(new Error("Opening handshake failed.")) });
    await expect(openSession(origin, [hash], WebTransport, never)).rejects.toMatchObject({ code: "unreachable" });
    const slow = play({ ready: () => new Promise(() => undefined) });
    const stop = new AbortController();
    const opening = openSession(origin, [hash], slow.WebTransport, stop.signal);
    stop.abort(new Error("enough"));
    await expect(opening).rejects.toThrow("enough");
    expect([dialled[0]?.isClosed, slow.dialled[0]?.isClosed]).toEqual([true, true]);
    await expect(openSession(origin, [hash], slow.WebTransport, stop.signal)).rejects.toThrow("enough");
    expect(slow.dialled).toHaveLength(1);
  });

  test("that ends, ends all that waits for it", async () => {
    const { line, session, answer } = await asked();
    session.end();
    await expect(answer).rejects.toMatchObject({ code: "broke" });
    expect(line.closed?.reason).toMatchObject({ code: "broke" });
    await expect(get(line, "/a")).rejects.toMatchObject({ code: "broke" });
  });

  test("is closed with what is under way in it", async () => {
    const { line, session, stream, answer } = await asked();
    line.close?.();
    await expect(answer).rejects.toMatchObject({ code: "broke" });
    expect([session.isClosed, stream.isStopped]).toEqual([true, true]);
  });
});

describe("a request", () => {
  test("is a head and a body", async () => {
    const { stream } = await asked({}, { method: "POST", headers: { Accept: "text/plain" }, body: utf8("Cool!") });
    expect(await stream.request).toEqual({ head: { method: "POST", path: "/a/b?c=d", headers: { accept: "text/plain" } }, body: utf8("Cool!") });
    const { stream: other } = await asked();
    expect(await other.request).toEqual({ head: { method: "GET", path: "/a/b?c=d", headers: { "accept-encoding": "gzip" } }, body: new Uint8Array(0) });
    const { stream: events } = await asked({}, { headers: { Accept: "text/event-stream" } });
    expect((await events.request).head.headers).toEqual({ accept: "text/event-stream" });
  });

  test("has no more than a server takes", async () => {
    const { line, session } = await opened();
    await expect(get(line, "/a", { method: "POST", body: new Uint8Array(maxBody + 1) })).rejects.toThrow(RangeError);
    await expect(get(line, `/${"a".repeat(maxHead)}`)).rejects.toThrow(RangeError);
    expect(session.streams).toHaveLength(0);
    void get(line, "/a", { method: "POST", body: new Uint8Array(maxBody) }).catch(() => undefined);
    await tick();
    expect((await session.streams[0]?.request)?.body).toHaveLength(maxBody);
  });

  test("is answered though its body is not taken", async () => {
    const { stream, answer } = await asked({ isDeaf: true }, { method: "POST", body: new Uint8Array(maxBody) });
    void stream.head({ status: 413, headers: {} }).then(stream.end);
    expect((await answer).status).toBe(413);
    await (await answer).text();
    expect(stream.isReset).toBe(true);
  });

  test("that is given up is reset", async () => {
    const stop = new AbortController();
    const { stream, answer } = await asked({ isDeaf: true }, { method: "POST", body: new Uint8Array(maxBody), signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    expect(stream.isReset).toBe(true);
  });

  test("waits where as many are under way as may be, and goes on in turn", async () => {
    const { line, session } = await opened();
    const stops = Array.from({ length: maxStreams + 3 }, () => new AbortController());
    const answers = stops.map(({ signal }) => get(line, "/a", { signal }));
    for (const each of answers) each.catch(() => undefined);
    await tick();
    expect(session.streams).toHaveLength(maxStreams);
    // One that waits is given up: it never was a stream.
    stops[maxStreams]?.abort(new Error("enough"));
    await expect(answers[maxStreams]).rejects.toThrow("enough");
    await tick();
    expect(session.streams).toHaveLength(maxStreams);
    // A place is free after an answer that was read to its end, and after one that nobody wants.
    const [first] = session.streams as [Stream];
    void first.head(ok).then(first.end);
    await tick();
    expect(session.streams).toHaveLength(maxStreams);
    await (await answers[0])?.text();
    await tick();
    expect(session.streams).toHaveLength(maxStreams + 1);
    stops[1]?.abort();
    await tick();
    expect(session.streams).toHaveLength(maxStreams + 2);
    line.close?.();
    for (const each of answers.slice(1)) await expect(each).rejects.toBeDefined();
  });
});

describe("an answer", () => {
  test.each([1, 7, 1 << 20])("in pieces of %i bytes is read as it comes", async (pieces) => {
    const { stream, answer } = await asked();
    const text = utf8(JSON.stringify(ok));
    const all = concat([Uint8Array.of(0, text.length), text, utf8("one two")]);
    const said = (async () => {
      for (let at = 0; at < all.length; at += pieces) await stream.say(all.slice(at, at + pieces));
      await stream.end();
    })();
    const response = await answer;
    expect([response.status, response.headers.get("Content-Type"), await response.text()]).toEqual([200, "text/plain", "one two"]);
    await said;
    expect(stream.isReset).toBe(false);
  });

  test("is taken as it is read, and no faster", async () => {
    const { stream, answer } = await asked();
    let taken = 0;
    void (async () => {
      await stream.head(ok);
      for (;;) {
        await stream.say(new Uint8Array(1 << 16));
        taken++;
      }
    })().catch(() => undefined);
    const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
    await tick();
    expect(taken).toBeLessThanOrEqual(1);
    for (let n = 0; n < 5; n++) await reader.read();
    await tick();
    expect(taken).toBeGreaterThanOrEqual(5);
    expect(taken).toBeLessThanOrEqual(6);
    await reader.cancel();
    await tick();
    expect(stream.isStopped).toBe(true);
  });

  test("longer than its reader takes is a lie, and ended", async () => {
    const { stream, answer } = await asked();
    void (async () => {
      await stream.head(ok);
      for (;;) await stream.say(new Uint8Array(1000));
    })().catch(() => undefined);
    await expect(readBody(await answer, 10_000)).rejects.toThrow(Lie);
    await tick();
    expect(stream.isStopped).toBe(true);
  });

  test("that was compressed is read", async () => {
    const { stream, answer } = await asked();
    const packed = new Uint8Array(await new Response(new Response("x".repeat(10_000)).body?.pipeThrough(new CompressionStream("gzip"))).arrayBuffer());
    void stream.head({ status: 200, headers: { "content-encoding": "gzip" } }).then(() => stream.say(packed)).then(stream.end);
    const response = await answer;
    expect([await response.text(), response.headers.get("Content-Encoding")]).toEqual(["x".repeat(10_000), null]);
  });

  test("may have no headers, and no body", async () => {
    const { stream, answer } = await asked();
    void stream.head({ status: 304, headers: { etag: '"x"' }, more: 7 });
    expect([(await answer).status, (await answer).headers.get("ETag"), (await answer).body]).toEqual([304, '"x"', null]);
    await tick();
    expect(stream.isStopped).toBe(true);
    const other = await asked();
    void other.stream.head({ status: 404 }).then(other.stream.end);
    expect([(await other.answer).status, await (await other.answer).text()]).toEqual([404, ""]);
  });

  test.each<[string, (stream: Stream) => Promise<void>]>([
    ["in its head", (stream) => stream.say(Uint8Array.of(0))],
    ["in its head, late", (stream) => stream.say(Uint8Array.of(0, 20), utf8('{"status"'))],
  ])("that ends %s is none", async (_, say) => {
    const { stream, answer, session } = await asked();
    void say(stream).then(stream.end);
    await expect(answer).rejects.toMatchObject({ code: "broke" });
    const other = await asked();
    void say(other.stream).then(other.stream.reset);
    await expect(other.answer).rejects.toMatchObject({ code: "broke" });
    expect([session.isClosed, other.session.isClosed]).toEqual([false, false]);
  });

  test("that is cut is no whole one", async () => {
    const { stream, answer, session } = await asked();
    const said = stream.head(ok).then(() => stream.say(utf8("half")));
    const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await said;
    await stream.reset();
    await expect(reader.read()).rejects.toMatchObject({ code: "broke" });
    expect(session.isClosed).toBe(false);
  });

  test.each<[string, (stream: Stream) => Promise<void>]>([
    ["never", async () => undefined],
    ["in a head without end", (stream) => stream.say(Uint8Array.of(0x3f, 0xff), utf8("{"))],
  ])("that comes %s is waited for as long as its asker likes", async (_, say) => {
    const stop = new AbortController();
    const { stream, answer, session } = await asked({}, { signal: stop.signal });
    void say(stream);
    await tick();
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    await tick();
    // The other end is told, and the session goes on.
    expect([stream.isStopped, session.isClosed]).toEqual([true, false]);
  });

  test("that stalls ends with its asker", async () => {
    const stop = new AbortController();
    const { stream, answer } = await asked({}, { signal: stop.signal });
    void stream.head(ok).then(() => stream.say(utf8("half")));
    const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const more = reader.read();
    stop.abort(new Error("enough"));
    await expect(more).rejects.toThrow("enough");
    expect(stream.isStopped).toBe(true);
  });

  const head = (value: unknown) => (stream: Stream) => stream.head(value);
  test.each<[string, (stream: Stream) => Promise<void>]>([
    ["a head of 16,385 bytes", (stream) => stream.say(Uint8Array.of(0x40, 1))],
    ["a head that is no JSON", (stream) => stream.say(Uint8Array.of(0, 1), utf8("{"))],
    ["a head that is not UTF-8", (stream) => stream.say(Uint8Array.of(0, 1, 0xff))],
    ["an empty head", (stream) => stream.say(Uint8Array.of(0, 0))],
    ["null", head(null)],
    ["no status", head({ headers: {} })],
    ["a status of text", head({ status: "200" })],
    ["the status 101", head({ status: 101 })],
    ["the status 600", head({ status: 600 })],
    ["headers of null", head({ status: 200, headers: null })],
    ["a header that is no text", head({ status: 200, headers: { a: 7 } })],
    ["a header's name in upper case", head({ status: 200, headers: { A: "a" } })],
    ["a header of two lines", head({ status: 200, headers: { a: "a\r\nb: c" } })],
    ["too many headers", head({ status: 200, headers: Object.fromEntries(Array.from({ length: maxFields + 1 }, (_, i) => [`a${i}`, ""])) })],
  ])("with %s is a lie, and the session is over", async (_, say) => {
    const { stream, answer, session, line } = await asked();
    say(stream).catch(() => undefined);
    await expect(answer).rejects.toThrow(Lie);
    expect(session.isClosed).toBe(true);
    expect(line.closed?.reason).toBeInstanceOf(Lie);
  });

  test("with a head of 16,384 bytes is one", async () => {
    const { stream, answer } = await asked();
    const text = JSON.stringify({ status: 200, more: "" });
    void stream.head({ status: 200, more: "x".repeat(maxHead - text.length) }).then(stream.end);
    expect((await answer).status).toBe(200);
  });
});

const day = 24 * 60 * 60 * 1000;
const now = Date.parse("2026-11-22T12:00:00Z");
const cert = (from: number, to: number, sha256 = hash): unknown => ({ sha256, from: new Date(now + from * day).toISOString(), to: new Date(now + to * day).toISOString() });

describe("what a hello says", () => {
  test("counts", () => {
    expect(readPins({ port: 4084, hashes: [cert(-1, 13), cert(11, 24)], more: 7 })).toEqual({ port: 4084, hashes: [{ sha256: hash, to: now + 13 * day }, { sha256: hash, to: now + 24 * day }] });
    expect(readPins({ port: 65535, hashes: [] })).toEqual({ port: 65535, hashes: [] });
  });

  test.each<[string, unknown]>([
    ["undefined", undefined],
    ["no object", "x"],
    ["no port", { hashes: [] }],
    ["port 0", { port: 0, hashes: [] }],
    ["port 65536", { port: 65536, hashes: [] }],
    ["a port of text", { port: "4084", hashes: [] }],
    ["no hashes", { port: 4084 }],
    ["five hashes", { port: 4084, hashes: new Array(5).fill(cert(0, 1)) }],
    ["a hash of null", { port: 4084, hashes: [null] }],
    ["a hash in upper case", { port: 4084, hashes: [cert(0, 1, hash.toUpperCase())] }],
    ["a short hash", { port: 4084, hashes: [cert(0, 1, "5c")] }],
    ["15 days", { port: 4084, hashes: [cert(0, 15)] }],
    ["no time at all", { port: 4084, hashes: [cert(1, 1)] }],
    ["a time that is none", { port: 4084, hashes: [{ sha256: hash, from: "now", to: "then" }] }],
  ])("%s is a lie", (_, value) => expect(() => readPins(value)).toThrow(Lie));
});

describe("a server", () => {
  const page = new URL("https://comntr.github.io/page/");
  const key = "ab".repeat(32);
  const known = (hashes: readonly unknown[] = [cert(-1, 13), cert(11, 24, "77".repeat(32))]): { key: string; at: unknown } => ({ key, at: { port: 4084, hashes } });

  function go(how: Play, { pins = known(), origins = ["http://1.1.1.1:4080"], typed = undefined as string | undefined, proof = key, at = page as URL | undefined, signal = never } = {}) {
    const { WebTransport, dialled } = play(how);
    const named: boolean[] = [];
    const hello = async (_: Line, isNamed: boolean): Promise<Hello> => {
      named.push(isNamed);
      return { key: proof } as Hello;
    };
    return { dialled, named, arrived: reach({ page: at, WebTransport, hello, now: () => now }, pins, origins, typed, signal) };
  }

  test("is reached at the host of its origin, by the certificates that count", async () => {
    const { dialled, named, arrived } = go({});
    expect(await arrived).toMatchObject({ origin: "http://1.1.1.1:4080", hello: { key } });
    expect(dialled).toMatchObject([{ url: "https://1.1.1.1:4084/webtransport", hashes: [hash, "77".repeat(32)], isClosed: false }]);
    // The certificate says who it is, whatever it thinks its address is.
    expect(named).toEqual([true]);
    const later = go({}, { pins: known([cert(-14, 0), cert(-1, 13, "77".repeat(32))]) });
    await later.arrived;
    expect(later.dialled[0]?.hashes).toEqual(["77".repeat(32)]);
  });

  test("whose certificate browsers trust must say that it is there", async () => {
    const { dialled, named, arrived } = go({}, { pins: known([]), origins: ["https://example.org:443"] });
    await arrived;
    expect(dialled).toMatchObject([{ url: "https://example.org:4084/webtransport", hashes: [] }]);
    expect(named).toEqual([false]);
  });

  test("whose certificates have expired is not dialled", async () => {
    const { dialled, arrived } = go({}, { pins: known([cert(-14, 0)]) });
    await expect(arrived).rejects.toMatchObject({ code: "expired" });
    expect(dialled).toHaveLength(0);
  });

  test("that has another key is another one", async () => {
    const { dialled, arrived } = go({}, { proof: "cd".repeat(32) });
    await expect(arrived).rejects.toMatchObject({ code: "no-proof" });
    expect(dialled[0]?.isClosed).toBe(true);
  });

  test("is looked for at so many hosts, each once, and the first that is there is taken", async () => {
    const origins = ["http://1.1.1.1:4080", "http://1.1.1.1:80", "http://2.2.2.2:4080", "http://3.3.3.3:4080"];
    const { dialled, arrived } = go({ ready: (url) => (url.includes("1.1.1.1") ? Promise.reject(new Error("down")) : Promise.resolve()) }, { origins });
    expect(await arrived).toMatchObject({ origin: "http://2.2.2.2:4080" });
    expect(dialled.map(({ url }) => new URL(url).hostname)).toEqual(["1.1.1.1", "2.2.2.2"]);
    expect(dialled).toHaveLength(maxHosts);
  });

  test("that comes second is closed", async () => {
    vi.useFakeTimers();
    let slow: (value: unknown) => void = () => undefined;
    const { dialled, arrived } = go({ ready: (url) => (url.includes("1.1.1.1") ? new Promise((resolve) => (slow = resolve)) : Promise.resolve()) }, { origins: ["http://1.1.1.1:4080", "http://2.2.2.2:4080"] });
    await vi.advanceTimersByTimeAsync(399);
    expect(dialled).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await arrived).toMatchObject({ origin: "http://2.2.2.2:4080" });
    slow(undefined);
    await vi.advanceTimersByTimeAsync(0);
    expect(dialled.map(({ isClosed }) => isClosed)).toEqual([true, false]);
    vi.useRealTimers();
  });

  test.each([
    ["http://192.168.1.1:4080", false],
    ["http://127.0.0.1:4080", false],
    ["http://[::ffff:10.0.0.1]:4080", false],
    ["http://[fd00::1]:4080", false],
    ["http://localhost:4080", false],
    ["https://router.local:4080", false],
    ["http://169.254.169.254:80", false],
    ["nonsense", false],
    ["http://1.1.1.1:4080", true],
    ["http://[2606:4700:4700::1111]:4080", true],
    // Nothing but what has the certificate answers, so names may be asked though HTTP may not.
    ["http://example.org:4080", true],
  ])("at %s is dialled from a public page: %s", async (origin, may) => {
    const { dialled, arrived } = go({}, { origins: [origin] });
    await (may ? expect(arrived).resolves.toBeDefined() : expect(arrived).rejects.toMatchObject({ code: "private-address" }));
    expect(dialled).toHaveLength(may ? 1 : 0);
    // A page from a file stands nowhere; one of that network is its neighbour.
    const file = go({}, { origins: [origin], at: undefined });
    await file.arrived.catch(() => undefined);
    expect(file.dialled).toHaveLength(may ? 1 : 0);
    if (origin === "nonsense") return;
    for (const how of [{ typed: origin }, { at: new URL("https://192.168.1.2/") }]) {
      const { dialled: close, arrived: reached } = go({}, { origins: [origin], ...how });
      await reached;
      expect(close).toHaveLength(1);
    }
    // What was typed is that origin alone.
    const { dialled: other, arrived: none } = go({}, { origins: [origin], typed: "http://192.168.1.9:4080" });
    await none.catch(() => undefined);
    expect(other).toHaveLength(may ? 1 : 0);
  });

  test("has its sessions where its hello says", () => {
    expect(sessionAt(page, "http://1.1.1.1:4080", 443, undefined)).toBe("https://1.1.1.1");
    expect(sessionAt(page, "http://[2606:4700:4700::1111]:4080", 4084, undefined)).toBe("https://[2606:4700:4700::1111]:4084");
  });
});
