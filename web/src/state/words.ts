// A key as 24 words (BIP-39, English), the same as the command line's `comntr key export`.

import { sha256 } from "../protocol/sha256.ts";

/** 256 bits and 8 of a checksum, 11 for each word. */
export const wordCount = 24;

/** So many words there are. They are sorted, and no two share their first four letters. */
const count = 2048;
/** What a letter follows from, by how much: the letter, the two, the three before it, and where in its word it is, twice. */
const weights = [2, 4, 8, 4, 4];

/**
 * Spells the list of words by letters that are chosen one after the other, each by how likely all are after those before
 * (arithmetic coding): 1 is an a, and 0 the word's end. What is counted with comes out alike in every browser: sums,
 * products and quotients of doubles.
 */
export function spell(choose: (odds: readonly number[]) => number): string[] {
  const seen = new Map<string, number[]>();
  let word = "";
  return Array.from({ length: count }, () => {
    const before = word;
    word = "";
    for (let isAlike = true; ; ) {
      const at = word.length;
      const last = word.slice(-1);
      const least: number = isAlike ? (before.charCodeAt(at) || 96) - 96 : 0;
      const causes = [last, word.slice(-2), word.slice(-3), isAlike ? `${at} ${least}` : at, at + last].map((cause, i) => {
        const known = seen.get(`${i}${cause}`) ?? Array<number>(28).fill(0);
        seen.set(`${i}${cause}`, known);
        return known;
      });
      const first = at === 3 && least > 0 ? least + 1 : least;
      const odds = Array.from({ length: 27 }, (_, each) =>
        each < first ? 0 : causes.reduce((sum, known, i) => sum + ((weights[i] as number) * (known[each] as number)) / ((known[27] as number) + 2.5), 0.01),
      );
      const letter = choose(odds);
      for (const known of causes) for (const each of [letter, 27]) (known[each] as number)++;
      if (letter === 0) return word;
      isAlike &&= letter === least;
      word += String.fromCharCode(96 + letter);
    }
  });
}

/** A range that is less takes up another byte. */
export const leastRange = 2 ** 40;

export function unpack(packed: string): string[] {
  const bytes = atob(packed);
  let at = 0;
  let value = 0;
  let range = 1;
  return spell((odds) => {
    for (; range < leastRange; range *= 256) value = value * 256 + (bytes.charCodeAt(at++) || 0);
    const unit = range / odds.reduce((sum, each) => sum + each);
    for (let letter = 0; ; letter++) {
      range = Math.floor(unit * (odds[letter] as number));
      if (value < range) return letter;
      value -= range;
    }
  });
}

export function wordsOf(seed: Uint8Array, list: readonly string[]): string {
  const bits = [...seed, sha256(seed)[0] as number].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return Array.from({ length: wordCount }, (_, i) => list[Number.parseInt(bits.slice(11 * i, 11 * i + 11), 2)]).join(" ");
}

/** The seed of words, however they are spaced and cased; undefined if they are none. */
export function seedOfWords(words: string, list: readonly string[]): Uint8Array | undefined {
  const numbers = words.trim().toLowerCase().split(/\s+/).map((word) => list.indexOf(word));
  if (numbers.length !== wordCount || numbers.includes(-1)) return undefined;
  const bits = numbers.map((n) => n.toString(2).padStart(11, "0")).join("");
  const seed = Uint8Array.from({ length: 32 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2));
  return Number.parseInt(bits.slice(256), 2) === sha256(seed)[0] ? seed : undefined;
}
