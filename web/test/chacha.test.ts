// ChaCha20-Poly1305: the RFC's own example, and a library's results.

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../src/protocol/bytes.ts";
import { decrypt, encrypt, tagSize } from "../src/workers/chacha.ts";
import { random } from "./random.ts";

test("encrypts as RFC 8439 does", () => {
  // Section 2.4.2's key, nonce and text: the RFC's examples of the whole have additional data, of which there is none here.
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const text = utf8("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.");
  expect(toHex(encrypt(key, fromHex("000000000000004a00000000"), text)).slice(0, 64)).toBe("6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b");
});

test("gives what a library gives, whatever the length", () => {
  const pick = random(8439);
  const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => pick(256));
  // Around the ends of the tag's blocks and the stream's, and a chunk of a file.
  for (const length of [...Array.from({ length: 70 }, (_, i) => i), 127, 128, 129, 1000, 65536]) {
    const [key, nonce, data] = [bytes(32), bytes(12), bytes(length)];
    const file = encrypt(key, nonce, data);
    expect(toHex(file)).toBe(toHex(chacha20poly1305(key, nonce).encrypt(data)));
    expect(decrypt(key, nonce, file)).toEqual(data);
  }
  // Where sums are large: all bits set, and none.
  for (const fill of [0, 255]) {
    const [key, nonce, data] = [new Uint8Array(32).fill(fill), new Uint8Array(12).fill(fill), new Uint8Array(300).fill(fill)];
    expect(toHex(encrypt(key, nonce, data))).toBe(toHex(chacha20poly1305(key, nonce).encrypt(data)));
  }
});

test("opens nothing that was changed", () => {
  const [key, nonce] = [new Uint8Array(32).fill(1), new Uint8Array(12)];
  const file = encrypt(key, nonce, utf8("seventeen bytes.."));
  for (let i = 0; i < file.length; i++) {
    const odd = file.slice();
    odd[i] = (odd[i] as number) ^ 1;
    expect(decrypt(key, nonce, odd)).toBeUndefined();
  }
  for (let length = 0; length < file.length; length++) expect(decrypt(key, nonce, file.subarray(0, length))).toBeUndefined();
  expect(decrypt(key.map(() => 2), nonce, file)).toBeUndefined();
  expect(tagSize).toBe(16);
});
