// The names of things: SPEC.md, section 1. A hash here is its text, since text is what JavaScript can compare and
// put into maps; two compare as their bytes do.

import { toHex, utf8 } from "./bytes.ts";
import { sha1 } from "./sha1.ts";

/** A SHA-1 as exactly 40 lower-case hex digits. */
export type Hash = string & { readonly hash: unique symbol };

/** Where a document stands. */
export interface Place {
  readonly community: Hash;
  readonly topic: Hash;
}

export function parseHash(text: string): Hash | undefined {
  return /^[0-9a-f]{40}$/.test(text) ? (text as Hash) : undefined;
}

export function hashOf(bytes: Uint8Array): Hash {
  return toHex(sha1(bytes).hash) as Hash;
}

/** The hash of a topic's or a community's name. A URL is to be cleaned first: see name.ts. */
export function hashOfName(name: string): Hash {
  return hashOf(utf8(name));
}

export function parsePlace(text: string): Place | undefined {
  if (text[40] !== "/") return undefined;
  const community = parseHash(text.slice(0, 40));
  const topic = parseHash(text.slice(41));
  return community !== undefined && topic !== undefined ? { community, topic } : undefined;
}

export function placeText(place: Place): string {
  return `${place.community}/${place.topic}`;
}

/** Less than, equal or greater than 0, by UTF-16 units: for hex and for dates, where that is the order of the bytes. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
