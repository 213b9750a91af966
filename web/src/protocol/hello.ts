// The hello: what a server proves of itself. SPEC.md, section 5.

import { concat, fromHex, fromUTF8, toHex, urlOf, utf8 } from "./bytes.ts";
import { encodeBase58 } from "./cid.ts";
import { type Fields, fieldsOf, readFields } from "./fields.ts";
import { type Hash, parseHash } from "./hash.ts";
import { must } from "./lie.ts";
import { sha256 } from "./sha256.ts";
import { slowVerifier, type Verifier } from "./verifier.ts";

/** The whole answer. */
export const maxHello = 65536;
const maxString = 256;
/** How far ahead a hello may expire. */
const maxLifeMillis = 24 * 60 * 60 * 1000;
// The server's clock and this one differ.
const maxClockMillis = 10 * 60 * 1000;
/** How many entries each list may have. */
const maxEntries = { communities: 64, urls: 16, multiaddrs: 32, trackers: 16, servers: 32 } as const;
/** Of JSON, what it says of WebTransport: four certificates are 600 bytes. */
const maxWebTransport = 2048;

export interface Hello {
  readonly software: string;
  /** The Ed25519 key, 64 hex digits. */
  readonly key: string;
  readonly peerId: string;
  readonly expires: string;
  readonly cidVersion: 0 | 1;
  readonly communities: readonly Hash[];
  readonly urls: readonly string[];
  readonly multiaddrs: readonly string[];
  readonly limits: { readonly maxSize: number; readonly rate: number; readonly work: number; readonly newWork: number };
  readonly contact: string;
  /** Candidates, of which the hello proves nothing. */
  readonly trackers: readonly string[];
  readonly servers: readonly string[];
  /** As it came: it is judged where it is used, in net/webtransport.ts. */
  readonly webtransport?: unknown;
}

export interface Asked {
  /** The 32 bytes sent, 64 hex digits. */
  readonly nonce: string;
  /** Where the answer was fetched from. Absent where a person named the address, as behind a proxy. */
  readonly origin?: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** The one spelling of an origin: the port always, an IPv4 address inside an IPv6 one as IPv4. */
export function canonicalOrigin(text: string): string | undefined {
  const url = urlOf(text);
  if (url === undefined) return undefined;
  const { protocol, hostname, port } = url;
  // Some browsers escape what no host's name may have, where others refuse it.
  if (hostname.includes("%")) return undefined;
  if ((protocol !== "http:" && protocol !== "https:") || `${url.origin}/` !== url.href) return undefined;
  const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(hostname);
  const host = mapped === null ? hostname : ipv4(Number.parseInt(mapped[1] as string, 16), Number.parseInt(mapped[2] as string, 16));
  return `${protocol}//${host}:${port || (protocol === "http:" ? "80" : "443")}`;
}

function ipv4(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The libp2p peer id of an Ed25519 key: the identity multihash of its protobuf. */
export function peerIdOf(key: string): string {
  return encodeBase58(concat([Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20), fromHex(key)]));
}

/** What the key of a hello signs. */
export function helloMessage(nonce: string, origin: string, hello: string): Uint8Array {
  return concat([utf8("comntr-hello-v1\n"), fromHex(nonce), utf8(origin), sha256(utf8(hello))]);
}

/** Checks an answer. What it is not proof of is a Lie. */
export async function openHello(
  answer: Uint8Array,
  { nonce, origin, now }: Asked,
  verifier: Verifier = slowVerifier,
): Promise<Hello> {
  must(answer.length <= maxHello, "length");
  const outer = readFields(fromUTF8(answer));
  const text = outer["hello"];
  must(typeof text === "string", "text");
  const signature = string(outer, "signature");
  const signed = string(outer, "origin");
  must(string(outer, "nonce") === nonce, "nonce");
  must(canonicalOrigin(signed) === signed && signed === canonicalOrigin(origin ?? signed), `origin ${signed}`);
  return openSigned(text, signature, nonce, signed, now, verifier);
}

/** What stands for the origin of a server that was met over a data channel: the SHA-256 of both ends' certificates, in hex. */
export function channelOrigin(server: string, asker: string): string {
  return `webrtc:${server}:${asker}`;
}

/** Checks a hello that came over a data channel; origin is channelOrigin of what this end knows of the connection. */
export async function openChannelHello(
  hello: Uint8Array,
  signature: Uint8Array,
  { nonce, origin, now }: Required<Asked>,
  verifier: Verifier = slowVerifier,
): Promise<Hello> {
  must(hello.length <= maxHello, "length");
  return openSigned(fromUTF8(hello) ?? "", toHex(signature), nonce, origin, now, verifier);
}

async function openSigned(text: string, signature: string, nonce: string, origin: string, now: number, verifier: Verifier): Promise<Hello> {
  const hello = readHello(readFields(text), now);
  const isHex = /^[0-9a-f]{128}$/.test(signature);
  must(isHex && (await verifier(fromHex(hello.key), helloMessage(nonce, origin, text), fromHex(signature))), "signature");
  return hello;
}

function readHello(fields: Fields, now: number): Hello {
  must(fields["protocol"] === 1, "protocol");
  const key = string(fields, "key");
  must(/^[0-9a-f]{64}$/.test(key), "key");
  const peerId = string(fields, "peerId");
  must(peerId === peerIdOf(key), "peerId");
  const expires = string(fields, "expires");
  const end = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(expires) ? Date.parse(expires) : Number.NaN;
  must(end > now && end <= now + maxLifeMillis + maxClockMillis, "expires");
  const { cidVersion } = fields;
  must(cidVersion === 0 || cidVersion === 1, "cidVersion");
  const communities = list(fields, "communities").map(parseHash);
  must(communities.every((hash) => hash !== undefined), "communities");
  const multiaddrs = list(fields, "multiaddrs");
  must(multiaddrs.every((addr) => addr.endsWith(`/p2p/${peerId}`)), "multiaddrs");
  const limits = fieldsOf(fields["limits"]);
  const webtransport = fields["webtransport"];
  must(webtransport == null || JSON.stringify(webtransport).length <= maxWebTransport, "webtransport");
  return {
    software: string(fields, "software"),
    key,
    peerId,
    expires,
    cidVersion,
    communities,
    urls: list(fields, "urls"),
    multiaddrs,
    limits: {
      maxSize: number(limits, "maxSize"),
      rate: number(limits, "rate"),
      work: number(limits, "work", 0),
      newWork: number(limits, "newWork", 0),
    },
    contact: string(fields, "contact"),
    trackers: list(fields, "trackers"),
    servers: list(fields, "servers"),
    webtransport,
  };
}

function isString(value: unknown): value is string {
  return typeof value === "string" && utf8(value).length <= maxString && !/\p{Cc}/u.test(value);
}

function string(fields: Fields, name: string): string {
  const value = fields[name];
  must(isString(value), name);
  return value;
}

function number(fields: Fields, name: string, absent?: number): number {
  const value = fields[name] ?? absent;
  must(typeof value === "number" && value >= 0, name);
  return value;
}

function list(fields: Fields, name: keyof typeof maxEntries): string[] {
  const value = fields[name];
  must(Array.isArray(value) && value.length <= maxEntries[name] && value.every(isString), name);
  return value as string[];
}
