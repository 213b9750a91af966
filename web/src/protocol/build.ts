// Writing documents: drafts and signing. SPEC.md, "Writing documents": equal drafts make equal files, so that posting
// one again adds nothing.

import { concat, toHex, utf8 } from "./bytes.ts";
import { type Document, isHeader, type Refusal, refusal } from "./document.ts";
import { type Hash, type Place, placeText } from "./hash.ts";
import type { Kind } from "./kinds.ts";
import { parseDocument } from "./parse.ts";
import { sha256After } from "./sha256.ts";
import { publicKey, sign } from "./signature.ts";
import { leadingZeroBits } from "./work.ts";

export interface Draft {
  readonly place: Place;
  readonly date?: Date;
  readonly kind?: Kind;
  readonly target?: Hash;
  readonly parent?: Hash;
  readonly user?: string;
  /** The topic's name in clear; without it the topic stays unlisted. */
  readonly name?: string;
  readonly tag?: string;
  /** Other headers, in this order. */
  readonly extra?: readonly (readonly [name: string, value: string])[];
  readonly nonce?: string;
  readonly body: string;
}

/** A date as documents write it: UTC, whole seconds. */
export function dateText(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, "Z");
}

/** The headers of a draft in the order in which they are written. key: 64 hex digits. */
function headersOf(draft: Draft, key: string): (readonly [name: string, value: string])[] {
  const { place, date, kind, target, parent, user, name, tag, extra = [], nonce } = draft;
  const headers: (readonly [string, string | undefined])[] = [
    ["Public-Key", key],
    ["Topic", placeText(place)],
    ["Date", date === undefined ? undefined : dateText(date)],
    ["Kind", kind === "comment" ? undefined : kind],
    ["Target", target],
    ["Parent", parent],
    ["User", user],
    ["Name", name],
    ["Tag", tag],
    ...extra,
    ["Nonce", nonce],
  ];
  return headers.flatMap(([header, value]) => (value === undefined ? [] : [[header, value] as const]));
}

/** What is signed of a draft: all after the signature's line. key: 64 hex digits. */
export function signedPart(draft: Draft, key: string): string {
  const lines = headersOf(draft, key).map(([name, value]) => `${name}: ${value}\n`);
  return `${lines.join("")}\n${draft.body}`;
}

/** Signs a draft with a seed of 32 bytes. What would not read as it was meant is refused: a User of two lines, say. */
export function signDraft(draft: Draft, seed: Uint8Array): Document | Refusal {
  const key = toHex(publicKey(seed));
  if (!headersOf(draft, key).every(([name, value]) => isHeader(name, value))) return refusal("bad-header");
  const message = utf8(signedPart(draft, key));
  return parseDocument(concat([utf8(`Signature: ${toHex(sign(message, seed))}\n`), message]), draft.place);
}

/** Nonces tried between two words about it. */
const told = 1 << 15;

/**
 * The draft with the smallest nonce that pays for so many bits of work: 2^bits tries on average, so long for 18 bits
 * that it belongs into a worker. Only for 0 bits it has none: a draft whose act would do by chance gets one all the same.
 */
export function payWork(draft: Draft, key: string, bits: number, tell = (_tried: number): void => undefined): Draft {
  const { nonce: _, ...unpaid } = draft;
  if (bits === 0) return unpaid;
  // All before the nonce is the same for every try.
  const marked = signedPart({ ...unpaid, nonce: "\0" }, key);
  const at = marked.indexOf("\0");
  const hashOf = sha256After(utf8(marked.slice(0, at)));
  const after = marked.slice(at + 1);
  for (let nonce = 0; ; nonce++) {
    if (nonce % told === told - 1) tell(nonce + 1);
    if (leadingZeroBits(hashOf(utf8(nonce + after))) >= bits) return { ...unpaid, nonce: String(nonce) };
  }
}
