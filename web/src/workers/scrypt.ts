// scrypt (RFC 7914) with r = 8 and p = 1, and HMAC (RFC 2104), both of SHA-256: what makes a key of a passphrase.

import { concat } from "../protocol/bytes.ts";
import { sha256 } from "../protocol/sha256.ts";
import { bytesOf, wordsOf } from "./chacha.ts";

export function hmac(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const inner = sha256(concat([block.map((byte) => byte ^ 0x36), message]));
  return sha256(concat([block.map((byte) => byte ^ 0x5c), inner]));
}

/** PBKDF2 (RFC 8018) of one round. */
function stretch(passphrase: Uint8Array, salt: Uint8Array, length: number): Uint8Array {
  return concat(Array.from({ length: length / 32 }, (_, i) => hmac(passphrase, concat([salt, Uint8Array.of(0, 0, 0, i + 1)]))));
}

function turn(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

const x = new Int32Array(16);
const of = (i: number): number => x[i] as number;

/** Salsa20/8 of x XOR 16 words. It is most of the second that all this takes: hence no loop inside. */
function salsa(words: Int32Array, at: number): void {
  for (let i = 0; i < 16; i++) x[i] = of(i) ^ (words[at + i] as number);
  let x0 = of(0), x1 = of(1), x2 = of(2), x3 = of(3), x4 = of(4), x5 = of(5), x6 = of(6), x7 = of(7);
  let x8 = of(8), x9 = of(9), x10 = of(10), x11 = of(11), x12 = of(12), x13 = of(13), x14 = of(14), x15 = of(15);
  for (let round = 0; round < 4; round++) {
    x4 ^= turn((x0 + x12) | 0, 7); x8 ^= turn((x4 + x0) | 0, 9); x12 ^= turn((x8 + x4) | 0, 13); x0 ^= turn((x12 + x8) | 0, 18);
    x9 ^= turn((x5 + x1) | 0, 7); x13 ^= turn((x9 + x5) | 0, 9); x1 ^= turn((x13 + x9) | 0, 13); x5 ^= turn((x1 + x13) | 0, 18);
    x14 ^= turn((x10 + x6) | 0, 7); x2 ^= turn((x14 + x10) | 0, 9); x6 ^= turn((x2 + x14) | 0, 13); x10 ^= turn((x6 + x2) | 0, 18);
    x3 ^= turn((x15 + x11) | 0, 7); x7 ^= turn((x3 + x15) | 0, 9); x11 ^= turn((x7 + x3) | 0, 13); x15 ^= turn((x11 + x7) | 0, 18);
    x1 ^= turn((x0 + x3) | 0, 7); x2 ^= turn((x1 + x0) | 0, 9); x3 ^= turn((x2 + x1) | 0, 13); x0 ^= turn((x3 + x2) | 0, 18);
    x6 ^= turn((x5 + x4) | 0, 7); x7 ^= turn((x6 + x5) | 0, 9); x4 ^= turn((x7 + x6) | 0, 13); x5 ^= turn((x4 + x7) | 0, 18);
    x11 ^= turn((x10 + x9) | 0, 7); x8 ^= turn((x11 + x10) | 0, 9); x9 ^= turn((x8 + x11) | 0, 13); x10 ^= turn((x9 + x8) | 0, 18);
    x12 ^= turn((x15 + x14) | 0, 7); x13 ^= turn((x12 + x15) | 0, 9); x14 ^= turn((x13 + x12) | 0, 13); x15 ^= turn((x14 + x13) | 0, 18);
  }
  x[0] = of(0) + x0; x[1] = of(1) + x1; x[2] = of(2) + x2; x[3] = of(3) + x3;
  x[4] = of(4) + x4; x[5] = of(5) + x5; x[6] = of(6) + x6; x[7] = of(7) + x7;
  x[8] = of(8) + x8; x[9] = of(9) + x9; x[10] = of(10) + x10; x[11] = of(11) + x11;
  x[12] = of(12) + x12; x[13] = of(13) + x13; x[14] = of(14) + x14; x[15] = of(15) + x15;
}

/** The 16 blocks of scryptBlockMix: those with even numbers come first. */
function mix(from: Int32Array, at: number, to: Int32Array, toAt: number): void {
  for (let i = 0; i < 16; i++) x[i] = from[at + size - 16 + i] as number;
  for (let i = 0; i < 16; i++) {
    salsa(from, at + 16 * i);
    const place = toAt + 16 * ((i >> 1) + 8 * (i & 1));
    for (let j = 0; j < 16; j++) to[place + j] = of(j);
  }
}

/** A block has r times 128 bytes, here counted in words. */
const size = 256;

/** 32 bytes from a passphrase, by 2^factor KiB of memory. */
export function scrypt(passphrase: Uint8Array, salt: Uint8Array, factor: number): Uint8Array {
  const n = 2 ** factor;
  const block = wordsOf(stretch(passphrase, salt, 4 * size));
  const all = new Int32Array(n * size);
  all.set(block);
  for (let i = 1; i < n; i++) mix(all, (i - 1) * size, all, i * size);
  mix(all, (n - 1) * size, block, 0);
  const mixed = new Int32Array(size);
  for (let i = 0; i < n; i++) {
    const at = ((block[size - 16] as number) & (n - 1)) * size;
    for (let j = 0; j < size; j++) mixed[j] = (block[j] as number) ^ (all[at + j] as number);
    mix(mixed, 0, block, 0);
  }
  return stretch(passphrase, bytesOf(block), 32);
}
