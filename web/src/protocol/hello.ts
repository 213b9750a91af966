// The hello: what a server proves of itself. SPEC.md, section 5.

import { concat, fromHex, fromUTF8, toHex, urlOf, utf8 } from "./bytes.ts";
import { encodeBase58 } from "./cid.ts";
import { type Hash, parseHash } from "./hash.ts";
import { Lie } from "./lie.ts";
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
  must(answer.length <= maxHello, `of ${answer.length} bytes`);
  const outer = object(parse(fromUTF8(answer)), "the answer");
  const text = outer["hello"];
  must(typeof text === "string", "that is none");
  const signature = string(outer, "signature");
  const signed = string(outer, "origin");
  must(string(outer, "nonce") === nonce, "for another nonce");
  must(canonicalOrigin(signed) === signed, "whose origin is not in its one spelling");
  must(origin === undefined || canonicalOrigin(origin) === signed, `of ${signed}, not of where it was fetched from`);
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
  must(hello.length <= maxHello, `of ${hello.length} bytes`);
  const text = fromUTF8(hello);
  must(text !== undefined, "that is not UTF-8");
  return openSigned(text, toHex(signature), nonce, origin, now, verifier);
}

async function openSigned(text: string, signature: string, nonce: string, origin: string, now: number, verifier: Verifier): Promise<Hello> {
  const inner = object(parse(text), "the hello");
  must(inner["protocol"] === 1, "of another protocol");
  const hello = readHello(inner, now);
  const isHex = /^[0-9a-f]{128}$/.test(signature);
  must(isHex && (await verifier(fromHex(hello.key), helloMessage(nonce, origin, text), fromHex(signature))), "whose signature does not verify");
  return hello;
}

type Fields = Readonly<Record<string, unknown>>;

function must(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Lie(`a hello ${otherwise}`);
}

function readHello(fields: Fields, now: number): Hello {
  const key = string(fields, "key");
  must(/^[0-9a-f]{64}$/.test(key), "without a key");
  const peerId = string(fields, "peerId");
  must(peerId === peerIdOf(key), "whose peerId is not its key's");
  const expires = string(fields, "expires");
  const end = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(expires) ? Date.parse(expires) : Number.NaN;
  must(end > now && end <= now + maxLifeMillis + maxClockMillis, "that has expired, or lasts too long");
  const { cidVersion } = fields;
  must(cidVersion === 0 || cidVersion === 1, "without a cidVersion");
  const communities = list(fields, "communities").map(parseHash);
  must(communities.every((hash) => hash !== undefined), "with a community that is no hash");
  const multiaddrs = list(fields, "multiaddrs");
  must(multiaddrs.every((addr) => addr.endsWith(`/p2p/${peerId}`)), "with another peer's address");
  const limits = object(fields["limits"], "limits");
  const webtransport = fields["webtransport"];
  must(webtransport == null || JSON.stringify(webtransport).length <= maxWebTransport, "that says too much of WebTransport");
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

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    throw new Lie("a hello that is not JSON");
  }
}

function object(value: unknown, what: string): Fields {
  must(typeof value === "object" && value !== null && !Array.isArray(value), `in which ${what} is no object`);
  return value as Fields;
}

function isString(value: unknown): value is string {
  return typeof value === "string" && utf8(value).length <= maxString && !/\p{Cc}/u.test(value);
}

function string(fields: Fields, name: string): string {
  const value = fields[name];
  must(isString(value), `whose ${name} is no string of at most ${maxString} bytes without control characters`);
  return value;
}

function number(fields: Fields, name: string, absent?: number): number {
  const value = fields[name] ?? absent;
  must(typeof value === "number" && value >= 0, `whose ${name} is no number`);
  return value;
}

function list(fields: Fields, name: keyof typeof maxEntries): string[] {
  const value = fields[name];
  const isList = Array.isArray(value) && value.length <= maxEntries[name] && value.every(isString);
  must(isList, `whose ${name} is no list of at most ${maxEntries[name]} strings`);
  return value as string[];
}
