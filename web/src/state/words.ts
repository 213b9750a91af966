// A key as 24 words (BIP-39, English), the same as the command line's `comntr key export`.

import { sha256 } from "../protocol/sha256.ts";
import { wordlist } from "./wordlist.ts";

/** 256 bits and 8 of a checksum, 11 for each word. */
export const wordCount = 24;

export function wordsOf(seed: Uint8Array): string {
  const bits = [...seed, sha256(seed)[0] as number].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return Array.from({ length: wordCount }, (_, i) => wordlist[Number.parseInt(bits.slice(11 * i, 11 * i + 11), 2)]).join(" ");
}

/** The seed of words, however they are spaced and cased; undefined if they are none. */
export function seedOfWords(words: string): Uint8Array | undefined {
  const numbers = words.trim().toLowerCase().split(/\s+/).map((word) => wordlist.indexOf(word));
  if (numbers.length !== wordCount || numbers.includes(-1)) return undefined;
  const bits = numbers.map((n) => n.toString(2).padStart(11, "0")).join("");
  const seed = Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2));
  return Number.parseInt(bits.slice(256), 2) === sha256(seed)[0] ? seed : undefined;
}
