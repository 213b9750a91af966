// What stands on a data channel: BitTorrent's wire protocol (BEP 3, BEP 10) with HTTP in frames inside. SPEC.md, "Over
// a data channel". Bytes in, bytes out; channel.ts speaks it. The twin of bencode.go and wire.go.

import { type Bytes, concat, equal, fromHex, utf8 } from "../protocol/bytes.ts";
import type { Hash } from "../protocol/hash.ts";
import { fieldsOf as readFields, odd } from "./message.ts";

export const handshakeSize = 68;
/** The number that a server gives comntr's messages, always, and the one that is asked for here. */
export const extension = 1;
/** The largest message, after its length: from a server, and to one. */
export const maxAnswer = 80 << 10;
export const maxAsk = 20 << 10;
export const maxFrameData = 16 << 10;
const maxFrameHeaders = 16 << 10;
/** A request's body. */
export const maxFrameBody = 64 << 10;
/** Bytes of a body that a server may send before it was given credit. */
export const frameWindow = 1 << 20;
/** Lists and dictionaries within one another, and values in all. */
const maxDepth = 8;
const maxItems = 512;

const protocol = concat([Uint8Array.of(19), utf8("BitTorrent protocol")]);
// The id of BEP 10's messages, and of its handshake among them.
const extended = 20;
const name = "comntr";

/** A bencoded value. Keys have a character below U+0100 for each byte; what a list holds is nobody's business. */
export type Value = Uint8Array | bigint | Dict | undefined;
export type Dict = Map<string, Value>;

/** A byte for each character below U+0100, and back. */
export function fromBinary(text: string): Bytes {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export function toBinary(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

export type Encodable = Uint8Array | string | number | { readonly [key: string]: Encodable | undefined };

/** Bencodes; strings are of characters below U+0100, undefined members are left out. */
export function encode(value: Encodable): Bytes {
  if (typeof value === "number") return utf8(`i${value}e`);
  const bytes = typeof value === "string" ? fromBinary(value) : value;
  if (bytes instanceof Uint8Array) return concat([utf8(`${bytes.length}:`), bytes]);
  const members = Object.entries(bytes).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = members.flatMap(([key, member]) => (member === undefined ? [] : [encode(key), encode(member)]));
  return concat([utf8("d"), ...parts, utf8("e")]);
}

/** Reads a bencoded dictionary that is all of some bytes. Keys need not be sorted, but may not stand twice. */
export function decode(bytes: Uint8Array): Dict {
  let at = 0;
  let items = 0;

  /** A number in its one spelling, and what ends it. */
  function number(end: string): bigint {
    const stop = bytes.indexOf(end.charCodeAt(0), at);
    // No number of 64 bits is longer.
    const text = stop < 0 || stop - at > 20 ? "" : toBinary(bytes.subarray(at, stop));
    const value = /^(0|-?[1-9]\d*)$/.test(text) ? BigInt(text) : undefined;
    if (value === undefined || BigInt.asIntN(64, value) !== value) throw odd();
    at = stop + 1;
    return value;
  }

  function string(): Uint8Array {
    const length = number(":");
    if (length < 0n || length > bytes.length - at) throw odd();
    at += Number(length);
    return bytes.subarray(at - Number(length), at);
  }

  function isEnd(): boolean {
    if (at >= bytes.length) throw odd();
    if (bytes[at] !== 0x65) return false;
    at++;
    return true;
  }

  function value(depth: number): Value {
    if (at >= bytes.length || depth > maxDepth || ++items > maxItems) throw odd();
    const first = bytes[at];
    if (first !== 0x69 && first !== 0x6c && first !== 0x64) return string();
    at++;
    if (first === 0x69) return number("e");
    if (first === 0x6c) {
      while (!isEnd()) value(depth + 1);
      return undefined;
    }
    const dict: Dict = new Map();
    while (!isEnd()) {
      const key = toBinary(string());
      if (dict.has(key)) throw odd();
      dict.set(key, value(depth + 1));
    }
    return dict;
  }

  const dict = value(1);
  if (!(dict instanceof Map) || at !== bytes.length) throw odd();
  return dict;
}

function dictOf(dict: Dict | undefined, key: string): Dict | undefined {
  const value = dict?.get(key);
  return value instanceof Map ? value : undefined;
}

function bytesOf(dict: Dict | undefined, key: string): Uint8Array | undefined {
  const value = dict?.get(key);
  return value instanceof Uint8Array ? value : undefined;
}

function numberOf(dict: Dict | undefined, key: string): number {
  const value = dict?.get(key);
  return typeof value === "bigint" ? Number(value) : 0;
}

/** What opens the stream in either direction. peerId: 20 bytes. */
export function handshake(infohash: Hash, peerId: Uint8Array): Bytes {
  // The bit says that BEP 10 is spoken.
  return concat([protocol, Uint8Array.of(0, 0, 0, 0, 0, 0x10, 0, 0), fromHex(infohash), peerId]);
}

/** Checks a handshake of 68 bytes: that it is one, of this infohash, of who speaks BEP 10. */
export function isHandshake(bytes: Uint8Array, infohash: Hash): boolean {
  return equal(bytes.subarray(0, 20), protocol) && equal(bytes.subarray(28, 48), fromHex(infohash)) && ((bytes[25] as number) & 0x10) !== 0;
}

function message(...parts: readonly Uint8Array[]): Bytes {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, parts.reduce((sum, part) => sum + part.length, 0));
  return concat([length, ...parts]);
}

/** The asker's extended handshake: sign your hello for these 32 bytes. Without them, that of who has no hello. */
export function greeting(nonce?: Uint8Array): Bytes {
  return message(Uint8Array.of(extended, 0), encode({ [name]: nonce && { nonce }, m: { [name]: extension } }));
}

export interface Greeting {
  /** The number that the other end wants comntr's messages with; 0 if it does not speak it. */
  readonly extension: number;
  readonly hello: Uint8Array | undefined;
  readonly signature: Uint8Array | undefined;
}

export const frameTypes = ["request", "answer", "data", "end", "cancel", "credit"] as const;
export type FrameType = (typeof frameTypes)[number];

export interface Frame {
  readonly type: FrameType;
  readonly request: number;
  readonly payload: Uint8Array;
}

/** What a message of at least its id is: without its length. Undefined: nothing of ours. */
export function readMessage(bytes: Uint8Array): { readonly greeting: Greeting } | { readonly frame: Frame } | undefined {
  if (bytes[0] !== extended || bytes.length < 2) return undefined;
  if (bytes[1] === 0) return { greeting: readGreeting(bytes.subarray(2)) };
  return bytes[1] === extension ? { frame: readFrame(bytes.subarray(2)) } : undefined;
}

function readGreeting(bytes: Uint8Array): Greeting {
  const dict = decode(bytes);
  const number = numberOf(dictOf(dict, "m"), name);
  const ours = dictOf(dict, name);
  const nonce = bytesOf(ours, "nonce");
  if (number < 0 || number > 255 || (nonce !== undefined && nonce.length !== 32)) throw odd();
  return { extension: number, hello: bytesOf(ours, "hello"), signature: bytesOf(ours, "signature") };
}

function readFrame(bytes: Uint8Array): Frame {
  const type = frameTypes[bytes[0] ?? frameTypes.length];
  if (type === undefined || bytes.length < 5) throw odd();
  const payload = bytes.subarray(5);
  const fits = {
    request: payload.length <= maxFrameHeaders,
    answer: payload.length <= maxFrameHeaders,
    data: payload.length > 0 && payload.length <= maxFrameData,
    end: payload.length === 0,
    cancel: payload.length === 0,
    credit: payload.length === 4,
  };
  if (!fits[type]) throw odd();
  return { type, request: new DataView(bytes.buffer, bytes.byteOffset).getUint32(1), payload };
}

/** A frame as a message, for who gave comntr this number. */
export function writeFrame({ type, request, payload }: Frame, number: number): Bytes {
  const head = new Uint8Array(7);
  head.set([extended, number, frameTypes.indexOf(type)]);
  new DataView(head.buffer).setUint32(3, request);
  return message(head, payload);
}

export function creditOf(bytes: number): Bytes {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, bytes);
  return payload;
}

export interface RequestHead {
  readonly method: string;
  /** With a slash before it. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of body that follow. */
  readonly length: number;
}

/** The payload of a request: names of fields in lower case. */
export function writeHead({ method, path, headers, length }: RequestHead): Bytes {
  return encode({ headers, length: length === 0 ? undefined : length, method, path });
}

/** The payload of an answer. */
export function readAnswer(payload: Uint8Array): { readonly status: number; readonly headers: Readonly<Record<string, string>> } {
  const dict = decode(payload);
  const status = numberOf(dict, "status");
  if (status < 200 || status > 599) throw odd();
  return { status, headers: fieldsOf(dict) };
}

/** The payload of a request, as far as who answers it looks. */
export function readHead(payload: Uint8Array): Omit<RequestHead, "length"> {
  const dict = decode(payload);
  const text = (key: string): string => toBinary(bytesOf(dict, key) ?? new Uint8Array(0));
  return { method: text("method"), path: text("path"), headers: fieldsOf(dict) };
}

function fieldsOf(dict: Dict): Readonly<Record<string, string>> {
  return readFields([...(dictOf(dict, "headers") ?? [])].map(([field, value]) => [field, value instanceof Uint8Array ? toBinary(value) : value]));
}
