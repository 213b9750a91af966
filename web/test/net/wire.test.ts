import { describe, expect, test } from "vitest";
import { openChannel, type Port } from "../../src/net/channel.ts";
import { infohashOf } from "../../src/net/pages.ts";
import {
  creditOf, decode, encode, extension, type Frame, frameTypes, frameWindow, greeting, handshake, isHandshake, maxAnswer, maxFrameBody, maxFrameData, readAnswer, readMessage, toBinary,
  writeFrame, writeHead,
} from "../../src/net/wire.ts";
import { concat, fromHex, fromUTF8, toHex, utf8 } from "../../src/protocol/bytes.ts";
import { type Hash, hashOfName, parsePlace, type Place } from "../../src/protocol/hash.ts";
import { channelOrigin, helloMessage, openChannelHello } from "../../src/protocol/hello.ts";
import { Lie } from "../../src/protocol/lie.ts";
import { publicKey } from "../../src/protocol/signature.ts";
import { readVectors } from "../vectors.ts";

interface Vectors {
  readonly handshakes: { readonly infohash: Hash; readonly peerId: string; readonly extended: boolean; readonly topic?: string; readonly hex: string }[];
  readonly extended: { readonly why: string; readonly extension: number; readonly nonce?: string; readonly hello?: string; readonly signature?: string; readonly hex: string }[];
  readonly hello: Record<"seed" | "nonce" | "server" | "asker" | "now" | "origin" | "message" | "hello" | "signature", string>;
  readonly frames: {
    readonly why: string;
    readonly extension: number;
    readonly type: Frame["type"];
    readonly request: number;
    readonly method?: string;
    readonly path?: string;
    readonly length?: number;
    readonly status?: number;
    readonly headers?: Record<string, string>;
    readonly credit?: number;
    readonly data?: string;
    readonly hex: string;
  }[];
  readonly refused: { readonly why: string; readonly as: "handshake" | "extended" | "frame"; readonly hex: string }[];
}

const vectors = readVectors<Vectors>("channel.json");
const reddit = hashOfName("reddit");

describe("the vectors", () => {
  test("handshakes", () => {
    for (const { infohash, peerId, extended, topic, hex } of vectors.handshakes) {
      if (topic !== undefined) expect(infohashOf(parsePlace(topic) as Place)).toBe(infohash);
      const bytes = fromHex(hex);
      expect(isHandshake(bytes, infohash)).toBe(extended);
      expect(isHandshake(bytes, hashOfName("other"))).toBe(false);
      if (extended) expect(toHex(handshake(infohash, utf8(peerId)))).toBe(hex);
    }
  });

  test("greetings", () => {
    for (const vector of vectors.extended) {
      const said = readMessage(fromHex(vector.hex).subarray(4));
      if (said === undefined || !("greeting" in said)) throw new Error(vector.why);
      expect(said.greeting.extension, vector.why).toBe(vector.extension);
      expect(said.greeting.hello === undefined ? undefined : fromUTF8(said.greeting.hello)).toBe(vector.hello);
      expect(said.greeting.signature === undefined ? undefined : toHex(said.greeting.signature)).toBe(vector.signature);
      if (vector.nonce !== undefined) expect(toHex(greeting(fromHex(vector.nonce)))).toBe(vector.hex);
    }
  });

  test("frames", () => {
    for (const { why, extension: number, type, request, hex, ...vector } of vectors.frames) {
      const payload =
        type === "request"
          ? writeHead({ method: vector.method ?? "", path: vector.path ?? "", headers: vector.headers ?? {}, length: vector.length ?? 0 })
          : type === "answer"
            ? encode({ headers: vector.headers ?? {}, status: vector.status ?? 0 })
            : type === "credit"
              ? creditOf(vector.credit ?? 0)
              : utf8(vector.data ?? "");
      expect(toHex(writeFrame({ type, request, payload }, number)), why).toBe(hex);
      const bytes = fromHex(hex).subarray(4);
      // The number is the reader's own choice.
      bytes[1] = extension;
      const said = readMessage(bytes);
      if (said === undefined || !("frame" in said)) throw new Error(why);
      expect(said.frame).toMatchObject({ type, request });
      if (type === "answer") expect(readAnswer(said.frame.payload)).toEqual({ status: vector.status, headers: vector.headers });
    }
  });

  test("what is refused", () => {
    for (const { why, as, hex } of vectors.refused) {
      const bytes = fromHex(hex);
      if (as === "handshake") {
        expect(isHandshake(bytes, reddit), why).toBe(false);
        continue;
      }
      const read = (): unknown => {
        const said = readMessage(bytes);
        // A server's frames alone are read here.
        return said !== undefined && "frame" in said && said.frame.type === "answer" ? readAnswer(said.frame.payload) : said;
      };
      if (bytes[2] === frameTypes.indexOf("request") && as === "frame" && bytes.length > 7) continue;
      expect(read, why).toThrow(Lie);
    }
  });

  test("the hello", async () => {
    const { seed, nonce, server, asker, now, origin, message, hello, signature } = vectors.hello;
    expect(channelOrigin(server, asker)).toBe(origin);
    expect(toHex(helloMessage(nonce, origin, hello))).toBe(message);
    const asked = { nonce, origin, now: Date.parse(now) };
    expect(await openChannelHello(utf8(hello), fromHex(signature), asked)).toMatchObject({ key: toHex(publicKey(fromHex(seed))) });
    // Passed on over another connection, signed for another asker, or cut.
    await expect(openChannelHello(utf8(hello), fromHex(signature), { ...asked, origin: channelOrigin(asker, server) })).rejects.toThrow(Lie);
    await expect(openChannelHello(utf8(hello), fromHex(signature), { ...asked, nonce: "00".repeat(32) })).rejects.toThrow(Lie);
    await expect(openChannelHello(utf8(hello), fromHex(signature).subarray(1), asked)).rejects.toThrow(Lie);
    await expect(openChannelHello(utf8(hello), fromHex(signature), { ...asked, now: asked.now + 86_400_000 })).rejects.toThrow(Lie);
  });
});

test("bencode bounds", () => {
  const nested = (depth: number): Uint8Array => utf8("d1:a".repeat(depth) + "le" + "e".repeat(depth));
  expect(decode(nested(7)).size).toBe(1);
  expect(() => decode(nested(8))).toThrow(Lie);
  const wide = (items: number): Uint8Array => utf8(`d1:al${"i0e".repeat(items)}ee`);
  expect(decode(wide(510)).size).toBe(1);
  expect(() => decode(wide(511))).toThrow(Lie);
  expect(() => decode(utf8("d1:ai9223372036854775808ee"))).toThrow(Lie);
  expect(decode(utf8("d1:ai-9223372036854775808ee")).get("a")).toBe(-(2n ** 63n));
});

/** The other end of a channel, as a test plays it. */
interface End {
  readonly port: Port;
  /** What came, without the handshake and the greeting. */
  readonly frames: Frame[];
  say(...parts: readonly Uint8Array[]): void;
  frame(type: Frame["type"], request: number, payload?: Uint8Array): void;
  answer(request: number, status: number, headers?: Record<string, string>): void;
  end(): void;
  isClosed: boolean;
  /** Bytes of one call of say that are given at once. */
  pieces: number;
}

function end(): End {
  let listener: (bytes: Uint8Array) => void = () => undefined;
  let ended: () => void = () => undefined;
  let came: Uint8Array = new Uint8Array(0);
  let begun = false;
  const made: End = {
    frames: [],
    isClosed: false,
    pieces: 1 << 20,
    say(...parts) {
      const bytes = concat(parts);
      for (let at = 0; at < bytes.length; at += made.pieces) listener(bytes.slice(at, at + made.pieces));
    },
    frame: (type, request, payload = new Uint8Array(0)) => made.say(writeFrame({ type, request, payload }, extension)),
    answer: (request, status, headers = {}) => made.frame("answer", request, encode({ headers, status })),
    end: () => ended(),
    port: {
      send(bytes) {
        expect(bytes.length).toBeLessThanOrEqual(16384);
        came = concat([came, bytes]);
        if (!begun && came.length >= 68 + 76) {
          begun = true;
          expect(isHandshake(came.subarray(0, 68), reddit)).toBe(true);
          came = came.slice(68 + 76);
        }
        while (begun && came.length >= 4) {
          const length = new DataView(came.buffer, came.byteOffset).getUint32(0);
          if (came.length < 4 + length) return;
          const said = readMessage(came.subarray(4, 4 + length));
          if (said !== undefined && "frame" in said) made.frames.push({ ...said.frame, payload: said.frame.payload.slice() });
          came = came.slice(4 + length);
        }
      },
      waiting: () => 0,
      onBytes: (each) => (listener = each),
      onEnd: (each) => (ended = each),
      close: () => (made.isClosed = true),
    },
  };
  return made;
}

const peerId = utf8("-CM0100-abcdefghijkl");
const nonce = fromHex("202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f");
const serversGreeting = fromHex(vectors.extended[1]?.hex ?? "");

function opened(pieces = 1 << 20): { there: End; channel: ReturnType<typeof openChannel> } {
  const there = end();
  there.pieces = pieces;
  const channel = openChannel(there.port, reddit, peerId, nonce);
  there.say(handshake(reddit, peerId), serversGreeting);
  return { there, channel };
}

const get = (channel: ReturnType<typeof openChannel>, path: string, init: RequestInit = {}): Promise<Response> => channel.fetch(`http://webrtc${path}`, init);
const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("a channel", () => {
  test.each([1, 7, 1 << 20])("in pieces of %i bytes: greets, asks, reads", async (pieces) => {
    const { there, channel } = opened(pieces);
    const { hello } = await channel.greeting;
    expect(fromUTF8(hello ?? new Uint8Array(0))).toBe(vectors.hello.hello);
    const answer = get(channel, "/a/b?c=d", { headers: { Accept: "text/plain" } });
    await tick();
    expect(there.frames.map(({ type, request }) => [type, request])).toEqual([["request", 1]]);
    const head = decode(there.frames[0]?.payload ?? new Uint8Array(0));
    expect(toBinary(head.get("path") as Uint8Array)).toBe("/a/b?c=d");
    there.answer(1, 200, { "content-type": "text/plain" });
    there.frame("data", 1, utf8("one "));
    there.frame("data", 1, utf8("two"));
    there.frame("end", 1);
    const response = await answer;
    expect([response.status, response.headers.get("Content-Type"), await response.text()]).toEqual([200, "text/plain", "one two"]);
  });

  test("sends a body in frames, and no more than fits", async () => {
    const { there, channel } = opened();
    await channel.greeting;
    void get(channel, "/a/b", { method: "POST", body: new Uint8Array(maxFrameBody) }).catch(() => undefined);
    await tick();
    expect(there.frames.map(({ type, payload }) => [type, type === "data" ? payload.length : 0])).toEqual([["request", 0], ...new Array(4).fill(["data", maxFrameData])]);
    await expect(get(channel, "/a/b", { method: "POST", body: new Uint8Array(maxFrameBody + 1) })).rejects.toThrow(RangeError);
  });

  test("gives credit as a body is read, and only then", async () => {
    const { there, channel } = opened();
    const answer = get(channel, "/a");
    await tick();
    there.answer(1, 200);
    for (let sent = 0; sent < frameWindow; sent += maxFrameData) there.frame("data", 1, new Uint8Array(maxFrameData));
    const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
    const credits = (): number => there.frames.filter(({ type }) => type === "credit").reduce((sum, { payload }) => sum + new DataView(payload.buffer, payload.byteOffset).getUint32(0), 0);
    expect(credits()).toBe(0);
    let read = 0;
    while (read < frameWindow / 2) read += (await reader.read()).value?.length ?? 0;
    expect(credits()).toBe(read);
    // What was given may be sent, and a byte more is a lie.
    for (let sent = 0; sent < read; sent += maxFrameData) there.frame("data", 1, new Uint8Array(maxFrameData));
    expect(channel.closed.aborted).toBe(false);
    there.frame("data", 1, new Uint8Array(1));
    expect(channel.closed.reason).toBeInstanceOf(Lie);
    expect(there.isClosed).toBe(true);
  });

  test("reads what was compressed", async () => {
    const { there, channel } = opened();
    const answer = get(channel, "/a", { headers: { Accept: "application/vnd.ipld.car" } });
    await tick();
    expect(toBinary((decode(there.frames[0]?.payload ?? new Uint8Array(0)).get("headers") as Map<string, Uint8Array>).get("accept-encoding") as Uint8Array)).toBe("gzip");
    const packed = new Uint8Array(await new Response(new Response("x".repeat(10_000)).body?.pipeThrough(new CompressionStream("gzip"))).arrayBuffer());
    there.answer(1, 200, { "content-encoding": "gzip" });
    there.frame("data", 1, packed);
    there.frame("end", 1);
    expect(await (await answer).text()).toBe("x".repeat(10_000));
  });

  test("tells of refusals and of answers without a body", async () => {
    const { there, channel } = opened();
    const [first, second] = [get(channel, "/a"), get(channel, "/b")];
    await tick();
    there.answer(2, 304, { etag: '"x"' });
    there.frame("end", 2);
    there.answer(1, 404);
    there.frame("end", 1);
    expect([(await first).status, (await second).status, (await second).headers.get("ETag")]).toEqual([404, 304, '"x"']);
  });

  test("an answer that is cut is no whole one", async () => {
    const { there, channel } = opened();
    const answer = get(channel, "/a");
    await tick();
    there.answer(1, 200);
    there.frame("data", 1, utf8("half"));
    there.frame("cancel", 1);
    await expect((await answer).text()).rejects.toMatchObject({ code: "broke" });
    expect(channel.closed.aborted).toBe(false);
  });

  test("gives up what nobody wants any more", async () => {
    const { there, channel } = opened();
    const stop = new AbortController();
    const answer = get(channel, "/a", { signal: stop.signal });
    const other = get(channel, "/b", { signal: stop.signal });
    await tick();
    there.answer(2, 200);
    const { body } = await other;
    stop.abort(new Error("enough"));
    await expect(answer).rejects.toThrow("enough");
    await expect(new Response(body).text()).rejects.toThrow("enough");
    expect(there.frames.filter(({ type }) => type === "cancel").map(({ request }) => request)).toEqual([1, 2]);
    // What was on its way is passed over.
    there.frame("data", 2, utf8("late"));
    there.frame("end", 2);
    expect(channel.closed.aborted).toBe(false);
    await expect(get(channel, "/c", { signal: stop.signal })).rejects.toThrow("enough");
  });

  test("that ends, ends all that waits for it", async () => {
    const there = end();
    const channel = openChannel(there.port, reddit, peerId, nonce);
    there.end();
    await expect(channel.greeting).rejects.toMatchObject({ code: "broke" });
    await expect(get(channel, "/a")).rejects.toMatchObject({ code: "broke" });
    const other = opened();
    const answer = get(other.channel, "/a");
    await tick();
    other.there.end();
    await expect(answer).rejects.toMatchObject({ code: "broke" });
  });

  test.each<[string, (there: End) => void]>([
    ["another protocol", (there) => there.say(new Uint8Array(68))],
    ["another community", (there) => there.say(handshake(hashOfName("other"), peerId))],
    ["a message too long", (there) => there.say(handshake(reddit, peerId), Uint8Array.of(0, 1, 0x40, 1))],
    ["an answer to nothing", (there) => (there.say(handshake(reddit, peerId)), there.answer(7, 200))],
    ["a request", (there) => (there.say(handshake(reddit, peerId)), there.frame("request", 0, utf8("de")))],
    ["nothing, again and again", (there) => there.say(handshake(reddit, peerId), new Uint8Array(4 * 1025))],
    ["greetings, again and again", (there) => there.say(handshake(reddit, peerId), ...Array.from({ length: 1025 }, () => serversGreeting))],
  ])("is closed after %s", (_, say) => {
    const there = end();
    const channel = openChannel(there.port, reddit, peerId, nonce);
    say(there);
    expect(channel.closed.reason).toBeInstanceOf(Lie);
    expect(there.isClosed).toBe(true);
  });

  test.each<[string, (there: End) => void]>([
    ["two answers", (there) => (there.answer(1, 200), there.answer(1, 200))],
    ["data before an answer", (there) => there.frame("data", 1, utf8("x"))],
    ["an end before an answer", (there) => there.frame("end", 1)],
    ["credit", (there) => there.frame("credit", 1, creditOf(1))],
  ])("is closed after %s to a request", async (_, say) => {
    const { there, channel } = opened();
    const answer = get(channel, "/a");
    answer.catch(() => undefined);
    await tick();
    say(there);
    expect(channel.closed.reason).toBeInstanceOf(Lie);
  });

  test("a message of the greatest length is taken", async () => {
    const { there, channel } = opened();
    await channel.greeting;
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, maxAnswer);
    there.say(length, new Uint8Array(maxAnswer));
    expect(channel.closed.aborted).toBe(false);
  });
});
