import { describe, expect, test } from "vitest";
import { toHex, utf8 } from "../src/protocol/bytes.ts";
import { canonicalOrigin, helloMessage, maxHello, openHello, peerIdOf } from "../src/protocol/hello.ts";
import { Lie } from "../src/protocol/lie.ts";
import { publicKey, sign } from "../src/protocol/signature.ts";

// The example of SPEC.md, section 5: the seed is the bytes 0 to 31, the nonce 32 to 63.
const seed = Uint8Array.from({ length: 32 }, (_, i) => i);
const key = toHex(publicKey(seed));
const nonce = toHex(Uint8Array.from({ length: 32 }, (_, i) => 32 + i));
const origin = "http://192.0.2.1:4080";
const now = Date.parse("2026-11-22T12:00:00Z");
const text =
  '{"protocol":1,"software":"comntr/0.1.0","key":"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8","peerId":' +
  '"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB","expires":"2026-11-22T22:00:00Z","cidVersion":0,"communities":' +
  '["27aa67d11878da3049675f218f9822318d27bf67"],"urls":[],"multiaddrs":[],"limits":{"maxSize":65536,"rate":2},"contact":"",' +
  '"trackers":[],"servers":[]}';
const signature =
  "ab956ef30c4577e9ee54200c6d05f228ec60d13a9a3a5d96ff5d9f0b15efde8b224e6af90b59082c5a063228282800128435891b2d99df8748db6c5568fa9506";

interface Outer {
  hello: string;
  nonce: string;
  origin: string;
  signature: string;
}

function answer(outer: Partial<Outer> = {}): Uint8Array {
  return utf8(JSON.stringify({ hello: text, nonce, origin, signature, ...outer }) + "\n");
}

/** The answer with a hello that has other fields, signed anew. */
function signed(fields: Record<string, unknown>): Uint8Array {
  const hello = JSON.stringify({ ...(JSON.parse(text) as object), ...fields });
  return answer({ hello, signature: toHex(sign(helloMessage(nonce, origin, hello), seed)) });
}

const asked = { nonce, origin, now };

describe("the example of SPEC.md", () => {
  test("is 386 bytes and signs 101", () => {
    expect(utf8(text)).toHaveLength(386);
    expect(peerIdOf(key)).toBe((JSON.parse(text) as { peerId: string }).peerId);
    const message = helloMessage(nonce, origin, text);
    expect(message).toHaveLength(101);
    expect(toHex(message).slice(-64)).toBe("4e6c592f58772d8906fc6564a8b9e7899ec1afe6ae6341c6cd9d86cf16e9568c");
    expect(toHex(sign(message, seed))).toBe(signature);
  });

  test("is opened", async () => {
    expect(await openHello(answer(), asked)).toMatchObject({ key, cidVersion: 0, communities: ["27aa67d11878da3049675f218f9822318d27bf67"] });
  });
});

describe("a hello counts", () => {
  test.each<[string, Uint8Array]>([
    ["with unknown fields", signed({ counts: true })],
    ["with 64 communities", signed({ communities: Array.from({ length: 64 }, () => "27aa67d11878da3049675f218f9822318d27bf67") })],
    ["with a string of 256 bytes", signed({ contact: "ü".repeat(128) })],
    ["without WebTransport", signed({ webtransport: null })],
    ["that says anything of WebTransport", signed({ webtransport: 7 })],
    ["that says much of WebTransport", signed({ webtransport: "x".repeat(2046) })],
    ["with its own addresses", signed({ multiaddrs: [`/ip4/192.0.2.1/tcp/4001/p2p/${peerIdOf(key)}`] })],
  ])("%s", async (_, bytes) => {
    expect(await openHello(bytes, asked)).toMatchObject({ key });
  });

  test("where a person named another address", async () => {
    expect(await openHello(answer(), { nonce, now })).toMatchObject({ key });
  });
});

describe("a hello is a lie", () => {
  test.each<[string, Uint8Array]>([
    ["for another nonce", answer({ nonce: nonce.replace("20", "21") })],
    ["of another origin", answer({ origin: "http://192.0.2.2:4080" })],
    ["of an origin in another spelling", answer({ origin: "http://192.0.2.1:4080/" })],
    ["with another signature", answer({ signature: signature.replace("a", "b") })],
    ["with a signature in upper case", answer({ signature: signature.toUpperCase() })],
    ["that was changed", answer({ hello: text.replace('"rate":2', '"rate":3') })],
    ["that is no JSON", answer({ hello: "hello" })],
    ["that is a list", answer({ hello: "[]" })],
    ["without JSON", utf8("hello")],
    ["of null", utf8("null")],
    ["of another protocol", signed({ protocol: 2 })],
    ["that has expired", signed({ expires: "2026-11-22T12:00:00Z" })],
    ["that lasts two days", signed({ expires: "2026-11-24T12:00:00Z" })],
    ["of a date that is none", signed({ expires: "tomorrow" })],
    ["of another peer id", signed({ peerId: peerIdOf(key.replace("03", "04")) })],
    ["with another peer's address", signed({ multiaddrs: ["/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW"] })],
    ["of CID version 2", signed({ cidVersion: 2 })],
    ["with a community in upper case", signed({ communities: ["27AA67D11878DA3049675F218F9822318D27BF67"] })],
    ["with 65 communities", signed({ communities: Array.from({ length: 65 }, () => "27aa67d11878da3049675f218f9822318d27bf67") })],
    ["with 33 servers", signed({ servers: Array.from({ length: 33 }, () => "http://192.0.2.1:1") })],
    ["with a string of 257 bytes", signed({ contact: "ü".repeat(128) + "x" })],
    ["with a control character", signed({ contact: "a\u001bb" })],
    ["that says too much of WebTransport", signed({ webtransport: "x".repeat(2047) })],
    ["without limits", signed({ limits: null })],
    ["with a rate below 0", signed({ limits: { maxSize: 65536, rate: -1 } })],
    ["too large", utf8(JSON.stringify({ hello: text, nonce, origin, signature, more: "x".repeat(maxHello) }))],
  ])("%s", async (_, bytes) => {
    await expect(openHello(bytes, asked)).rejects.toThrow(Lie);
  });
});

test.each([
  ["http://192.0.2.1", "http://192.0.2.1:80"],
  ["HTTPS://Example.org", "https://example.org:443"],
  ["http://example.org:8080/", "http://example.org:8080"],
  ["http://[2001:DB8:0:0::1]:80", "http://[2001:db8::1]:80"],
  ["http://[::ffff:192.0.2.1]:4080", "http://192.0.2.1:4080"],
  ["http://[::ffff:c000:201]:4080", "http://192.0.2.1:4080"],
  ["http://example.org/path", undefined],
  ["http://user@example.org", undefined],
  ["http://example.org?x", undefined],
  ["ftp://example.org", undefined],
  ["example.org", undefined],
])("the origin %s is %s", (text, wanted) => {
  expect(canonicalOrigin(text)).toBe(wanted);
});

