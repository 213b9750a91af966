// Documents: the bytes of a comment, plain text or signed. SPEC.md, section 2. A Document is only made here, by the
// rules that every server applies, in their order: what the page shows, no server refuses.

import { fromHex, fromUTF8, startsWith, toHex, utf8 } from "./bytes.ts";
import { type Hash, type Place, placeText } from "./hash.ts";
import { type Sum, sha1 } from "./sha1.ts";
import { sha256 } from "./sha256.ts";
import type { Verifier } from "./verifier.ts";

export const maxDocument = 65536;
/** All before the body, the empty line included. */
export const maxHeaders = 4096;
/** How far a Date may lie ahead before a document waits. */
export const maxAheadMillis = 10 * 60 * 1000;

export type Code =
  | "empty"
  | "too-large"
  | "sha1-collision"
  | "not-utf8"
  | "nul"
  | "bad-header"
  | "wrong-topic"
  | "bad-signature";

export interface Refusal {
  readonly code: Code;
}

/** What a signed document has and plain text has not. */
export interface Signed {
  /** The Public-Key, 64 hex digits. */
  readonly key: string;
  /** The SHA-256 of the signed part, 64 hex digits. */
  readonly act: string;
  /** The headers after Public-Key, by the spelling of their names. */
  readonly headers: ReadonlyMap<string, string>;
  /** The Date, if it is one. As text it sorts as in time. */
  readonly date?: string;
}

export interface Document {
  readonly place: Place;
  readonly id: Hash;
  readonly bytes: Uint8Array;
  readonly signed?: Signed;
  /** The offset of the first byte of the body. */
  readonly bodyAt: number;
}

/** What a signature has to be checked for. */
interface Claim {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

type Read = { readonly document: Document; readonly claim?: Claim } | Refusal;

const signatureLine = utf8("Signature: ");
// To the letter: the lines of the signature and of the key.
const firstLines = /^Signature: ([0-9a-f]{128})\nPublic-Key: ([0-9a-f]{64})\n/;
// "Signature: ", 128 digits and LF: the signed part is what follows.
const signedAt = 140;
// A name, and a value without control characters and without spaces at its ends.
const headerLine = /^([A-Za-z][A-Za-z0-9-]{0,63}): ((?! )[^\0-\x1f\x7f]+(?<! ))$/;

/** Whether a header can be written so: what has a line end in its value would become two. */
export function isHeader(name: string, value: string): boolean {
  return headerLine.test(`${name}: ${value}`);
}

export function isRefusal(verdict: Document | Refusal): verdict is Refusal {
  return "code" in verdict;
}

/** Judges bytes for a place. verifier: see chooseVerifier; sum: their SHA-1, if it is known already. */
export async function judgeDocument(
  bytes: Uint8Array,
  place: Place,
  verifier: Verifier,
  sum: Sum = sha1OfDocument(bytes),
): Promise<Document | Refusal> {
  const read = readDocument(bytes, place, sum);
  if ("code" in read) return read;
  const { document, claim } = read;
  return claim === undefined || (await verifier(claim.key, claim.message, claim.signature)) ? document : badSignature;
}

export function bodyText(document: Document): string {
  // Valid documents are UTF-8, and the headers end at a character.
  return fromUTF8(document.bytes.subarray(document.bodyAt)) as string;
}

/** Whether a document is to wait because its Date lies too far ahead. now: milliseconds since 1970. */
export function isPremature(document: Document, now: number): boolean {
  const date = document.signed?.date;
  // Dates have whole seconds and sort as text: of one that is later than the limit's second, Date.parse would say so, too.
  return date !== undefined && date > secondOf(now + maxAheadMillis);
}

let lastSecond = { millis: Number.NaN, text: "" };
/** The second of a time as Dates write it. Whole threads are judged at one time, so the last answer is kept. */
function secondOf(millis: number): string {
  if (lastSecond.millis !== millis) lastSecond = { millis, text: `${new Date(millis).toISOString().slice(0, 19)}Z` };
  return lastSecond.text;
}

/** A Date of the one form, and real: no 30th of February. */
export function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text)) return false;
  const millis = Date.parse(text);
  // Date.parse takes the 24th hour, and some browsers the 30th of February, for what comes after it.
  return !Number.isNaN(millis) && new Date(millis).toISOString() === text.replace("Z", ".000Z");
}

export const badSignature = refusal("bad-signature");

export function refusal(code: Code): Refusal {
  return { code };
}

// What is too large is refused by its size alone, so its hash is not asked for.
export function sha1OfDocument(bytes: Uint8Array): Sum {
  return sha1(bytes.length <= maxDocument ? bytes : bytes.subarray(0, 0));
}

/** All rules but the last, the signature's. */
export function readDocument(bytes: Uint8Array, place: Place, sum: Sum): Read {
  if (bytes.length === 0) return refusal("empty");
  if (bytes.length > maxDocument) return refusal("too-large");
  if (sum.collision) return refusal("sha1-collision");
  if (fromUTF8(bytes) === undefined) return refusal("not-utf8");
  if (bytes.includes(0)) return refusal("nul");
  const id = toHex(sum.hash) as Hash;
  if (!startsWith(bytes, signatureLine)) return { document: { place, id, bytes, bodyAt: 0 } };
  return readSigned(bytes, place, id);
}

function readSigned(bytes: Uint8Array, place: Place, id: Hash): Read {
  const bodyAt = endOfHeaders(bytes);
  const text = bodyAt === undefined ? undefined : fromUTF8(bytes.subarray(0, bodyAt));
  if (bodyAt === undefined || text === undefined) return refusal("bad-header");
  const first = firstLines.exec(text);
  if (first === null) return refusal("bad-header");
  const [begin, signature = "", key = ""] = first;
  // The last two are those before and after the empty line's LF.
  const headers = readHeaders(text.slice(begin.length, -1).split("\n").slice(0, -1));
  if ("code" in headers) return headers;
  const topic = headers.get("Topic");
  if (topic === undefined) return refusal("bad-header");
  if (topic !== placeText(place)) return refusal("wrong-topic");
  const message = bytes.subarray(signedAt);
  const date = headers.get("Date");
  const signed: Signed = { key, act: toHex(sha256(message)), headers, ...(date !== undefined && isDate(date) ? { date } : {}) };
  return { document: { place, id, bytes, signed, bodyAt }, claim: { key: fromHex(key), message, signature: fromHex(signature) } };
}

/** The offset behind the empty line. */
function endOfHeaders(bytes: Uint8Array): number | undefined {
  for (let at = bytes.indexOf(0x0a); at >= 0 && at + 2 <= maxHeaders; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at + 1] === 0x0a) return at + 2;
  }
  return undefined;
}

function readHeaders(lines: readonly string[]): ReadonlyMap<string, string> | Refusal {
  const headers = new Map<string, string>();
  const seen = new Set(["signature", "public-key"]);
  for (const line of lines) {
    const [, name, value] = headerLine.exec(line) ?? [];
    if (name === undefined || value === undefined) return refusal("bad-header");
    const folded = name.toLowerCase();
    if (seen.has(folded)) return refusal("bad-header");
    seen.add(folded);
    headers.set(name, value);
  }
  return headers;
}
