// What is shown of names, keys and dates; words and files of keys.

import { wordlist as published } from "@scure/bip39/wordlists/english.js";
import { describe, expect, test } from "vitest";
import { packed } from "../src/state/wordlist.ts";
import { leastRange, seedOfWords as seedIn, spell, unpack, wordsOf as wordsIn } from "../src/state/words.ts";
import * as later from "../src/strings/en-later.ts";
import * as first from "../src/strings/en.ts";
import { maxName, shownName } from "../src/strings/name.ts";
import { markOf } from "../src/ui/mark.tsx";
import { ago } from "../src/ui/when.ts";
import { seal, unseal } from "../src/workers/age.ts";
import { utf8 } from "../src/protocol/bytes.ts";
import { readVectors } from "./vectors.ts";

test.each([
  ["Alice", "Alice"],
  ["  Alice   B.\t", "Alice B."],
  ["Al\u200bice", "Alice"],
  ["\u202eecilA", "ecilA"],
  ["A\u2066b\u2069", "Ab"],
  ["a\ufe0fb", "ab"],
  ["\u3164\u115f", ""],
  ["\u200b", ""],
  ["z\u0301\u0302\u0303\u0304\u0305\u0306", "ź\u0302\u0303\u0304"],
  ["山田太郎", "山田太郎"],
  ["فاطمة", "فاطمة"],
  ["x".repeat(99), `${"x".repeat(maxName)}…`],
  ["a\u2028b", "ab"],
])("the name %j is shown as %j", (name, shown) => expect(shownName(name)).toBe(shown));

test("a shown name stays as it is", () => {
  for (const name of ["z\u0301\u0302\u0303\u0304", "A \u200b B", "x".repeat(99)]) expect(shownName(shownName(name))).toBe(shownName(name));
});

test("a mark is of its key, and mirrored", () => {
  const one = markOf("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
  expect(one).toEqual(markOf("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"));
  const seen = new Set<string>();
  for (let i = 0; i < 512; i++) {
    const { path, hue } = markOf((i * 127).toString(16).padStart(4, "0") + "ff".repeat(30));
    const cells = new Set([...path.matchAll(/M(\d) (\d)/g)].map(([, x, y]) => `${x} ${y}`));
    expect(cells.size).toBeGreaterThan(0);
    for (const cell of cells) expect(cells.has(`${4 - Number(cell[0])} ${cell[2]}`)).toBe(true);
    expect(hue).toBeLessThan(8);
    seen.add(path);
  }
  expect(seen.size).toBeGreaterThan(500);
});

test("dates are relative for a month", () => {
  const now = Date.parse("2026-11-26T12:00:00Z");
  const of = (seconds: number): string => ago(now - seconds * 1000, now);
  expect(of(5)).toBe("now");
  expect(of(-5)).toBe("now");
  expect(of(300)).toMatch(/^5/);
  expect(of(7200)).toMatch(/^2/);
  expect(of(3 * 86400)).toMatch(/^3/);
  expect(of(400 * 86400)).toContain("2025");
});

describe("strings", () => {
  function* texts(value: unknown): Generator<string> {
    if (typeof value === "string") yield value;
    else if (typeof value === "object" && value !== null) for (const each of Object.values(value)) yield* texts(each);
  }
  test("say nothing of how it is built", () => {
    for (const text of texts({ ...first, ...later })) {
      expect(text).not.toMatch(/\b(CID|swarm|peers?|hash|DHT|WebRTC data channel|undefined)\b/);
      expect(text.trim()).toBe(text);
      expect(text).not.toBe("");
    }
  });
  test("count", () => {
    expect(first.thread.comments(1)).toBe("1 comment");
    expect(first.thread.comments(1234)).toBe("1,234 comments");
  });
});

describe("a key's words", () => {
  const list = unpack(packed);
  const wordsOf = (seed: Uint8Array): string => wordsIn(seed, list);
  const seedOfWords = (words: string): Uint8Array | undefined => seedIn(words, list);

  test("are of the published list", () => {
    expect(list).toEqual(published);
    const letters = published.flatMap((word) => [...[...word].map((char) => char.charCodeAt(0) - 96), 0]);
    let [low, range, length] = [0n, 1, 0];
    spell((odds) => {
      for (; range < leastRange; range *= 256, length++) low <<= 8n;
      const unit = range / odds.reduce((sum, each) => sum + each);
      const letter = letters.shift() as number;
      for (const each of odds.slice(0, letter)) low += BigInt(Math.floor(unit * each));
      range = Math.floor(unit * (odds[letter] as number));
      return letter;
    });
    // Of all numbers in the range one of fewest bytes.
    let zeros = 0n;
    const upTo = (bytes: bigint): bigint => ((low + BigInt(range - 1)) >> (8n * bytes)) << (8n * bytes);
    while (upTo(zeros + 1n) >= low) zeros++;
    const bytes = Buffer.from(upTo(zeros).toString(16).padStart(2 * length, "0"), "hex").subarray(0, length - Number(zeros));
    expect(packed).toBe(bytes.toString("base64").replace(/=+$/, ""));
  });
  test("are those of the command line", () => {
    // Of BIP-39's published vectors, with 256 bits.
    expect(wordsOf(new Uint8Array(32))).toBe(`${"abandon ".repeat(23)}art`);
    expect(wordsOf(new Uint8Array(32).fill(0xff))).toBe(`${"zoo ".repeat(23)}vote`);
    expect(wordsOf(new Uint8Array(32).fill(0x7f))).toBe("legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title");
  });
  test("give the key back, whatever their spaces and case", () => {
    const seed = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
    expect(seedOfWords(` ${wordsOf(seed).toUpperCase().replaceAll(" ", "\n ")}\n`)).toEqual(seed);
  });
  test("that are wrong are none", () => {
    const words = wordsOf(new Uint8Array(32)).split(" ");
    for (const odd of ["", words.slice(1).join(" "), [...words.slice(0, 23), "abandon"].join(" "), [...words.slice(0, 23), "aart"].join(" "), [words[23], ...words.slice(0, 23)].join(" ")]) {
      expect(seedOfWords(odd)).toBeUndefined();
    }
  });
});

describe("a key's file", () => {
  const { words, passphrase, files } = readVectors<{ words: string; passphrase: string; files: { by: string; file: string }[] }>("sealed.json");
  test.each(files)("made by $by is opened", ({ file }) => expect(unseal(utf8(file), passphrase)).toBe(`${words}\n`));
  test("opens with its passphrase alone", () => {
    const file = seal("some words\n", "correct horse");
    expect(file).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n/);
    expect(unseal(utf8(file), "correct horse")).toBe("some words\n");
    expect(unseal(utf8(file), "wrong horse")).toBeUndefined();
    const at = file.indexOf("\n-----END") - 12;
    expect(unseal(utf8(file.slice(0, at) + (file[at] === "A" ? "B" : "A") + file.slice(at + 1)), "correct horse")).toBeUndefined();
  });
  test("that is none, or too costly, is not opened", () => {
    for (const odd of ["", "abandon art", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----\n"]) expect(unseal(utf8(odd), "x")).toBeUndefined();
    expect(unseal(utf8(`age-encryption.org/v1\n-> scrypt ${"A".repeat(22)} 31\n${"A".repeat(43)}\n--- ${"A".repeat(43)}\n${"x".repeat(60)}`), "x")).toBeUndefined();
  });
});
