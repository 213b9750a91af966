// Hellos of servers that there are only for a test.

import { toHex } from "../../src/protocol/bytes.ts";
import { hashOfName } from "../../src/protocol/hash.ts";
import { helloMessage, peerIdOf } from "../../src/protocol/hello.ts";
import { publicKey, sign } from "../../src/protocol/signature.ts";

const community = hashOfName("reddit");

export const keyOf = (seed: number): string => toHex(publicKey(new Uint8Array(32).fill(seed)));

/** The answer to a request for a hello, by the key of a seed. */
export function hello(seed: number, url: string, changes: Record<string, unknown> = {}, origin = new URL(url).origin): string {
  const secret = new Uint8Array(32).fill(seed);
  const key = toHex(publicKey(secret));
  const { port, protocol } = new URL(url);
  const nonce = new URL(url).searchParams.get("nonce") ?? "";
  const canonical = origin === new URL(url).origin && port === "" ? `${origin}:${protocol === "http:" ? 80 : 443}` : origin;
  const text = JSON.stringify({
    protocol: 1,
    software: "test/1",
    key,
    peerId: peerIdOf(key),
    expires: new Date(Date.now() + 3_600_000).toISOString(),
    cidVersion: 0,
    communities: [community],
    urls: [],
    multiaddrs: [],
    limits: { maxSize: 65536, rate: 2, work: 0, newWork: 16 },
    contact: "mail@example.org",
    trackers: [],
    servers: [],
    ...changes,
  });
  const signature = toHex(sign(helloMessage(nonce, canonical, text), secret));
  return JSON.stringify({ hello: text, nonce, origin: canonical, signature });
}
