// SHA-512 (FIPS 180-4), for Ed25519 where the browser has neither. Numbers of 64 bits are pairs, the upper half first.

import type { Bytes } from "./bytes.ts";
import { primes } from "./sha256.ts";

/** The first 64 bits behind the point of a prime's root, of that power. */
function fraction(prime: number, power: bigint): bigint {
  const wanted = BigInt(prime) << (64n * power);
  let root = 0n;
  for (let bit = 1n << 69n; bit > 0n; bit >>= 1n) if ((root + bit) ** power <= wanted) root += bit;
  return root;
}

const pairs = (numbers: readonly bigint[]): Int32Array => Int32Array.from(numbers.flatMap((n) => [n >> 32n, n]), (n) => Number(BigInt.asIntN(32, n)));
const start = pairs(primes.slice(0, 8).map((prime) => fraction(prime, 2n)));
const k = pairs(primes.map((prime) => fraction(prime, 3n)));

/** Half of a rotation to the right, by less than 32: which half is the first. */
function turn(a: number, b: number, n: number): number {
  return (a >>> n) | (b << (32 - n));
}

// The functions of the standard: the upper half of what they give. With the halves the other way round it is the lower.
const sum0 = (h: number, l: number): number => turn(h, l, 28) ^ turn(l, h, 2) ^ turn(l, h, 7);
const sum1 = (h: number, l: number): number => turn(h, l, 14) ^ turn(h, l, 18) ^ turn(l, h, 9);

const w = new Int32Array(160);
const v = new Int32Array(16);

function compress(state: Int32Array, block: DataView, at: number): void {
  const of = (array: Int32Array, i: number): number => array[i] as number;
  const low = (array: Int32Array, i: number): number => (array[i] as number) >>> 0;
  for (let i = 0; i < 32; i++) w[i] = block.getInt32(at + 4 * i);
  for (let i = 32; i < 160; i += 2) {
    const a = of(w, i - 30), b = of(w, i - 29), c = of(w, i - 4), d = of(w, i - 3);
    const sum = low(w, i - 31) + low(w, i - 13) + ((turn(b, a, 1) ^ turn(b, a, 8) ^ turn(b, a, 7)) >>> 0) + ((turn(d, c, 19) ^ turn(c, d, 29) ^ turn(d, c, 6)) >>> 0);
    w[i + 1] = sum;
    w[i] = of(w, i - 32) + of(w, i - 14) + (turn(a, b, 1) ^ turn(a, b, 8) ^ (a >>> 7)) + (turn(c, d, 19) ^ turn(d, c, 29) ^ (c >>> 6)) + Math.floor(sum / 2 ** 32);
  }
  v.set(state);
  for (let i = 0; i < 160; i += 2) {
    const ah = of(v, 0), al = of(v, 1), bh = of(v, 2), bl = of(v, 3), ch = of(v, 4), cl = of(v, 5);
    const eh = of(v, 8), el = of(v, 9), fh = of(v, 10), fl = of(v, 11), gh = of(v, 12), gl = of(v, 13), hh = of(v, 14);
    const low1 = low(v, 15) + (sum1(el, eh) >>> 0) + ((gl ^ (el & (fl ^ gl))) >>> 0) + low(k, i + 1) + low(w, i + 1);
    const high1 = hh + sum1(eh, el) + (gh ^ (eh & (fh ^ gh))) + of(k, i) + of(w, i) + Math.floor(low1 / 2 ** 32);
    const low2 = (low1 >>> 0) + (sum0(al, ah) >>> 0) + (((al & bl) ^ (al & cl) ^ (bl & cl)) >>> 0);
    v.copyWithin(2, 0, 14);
    const low3 = low(v, 9) + (low1 >>> 0);
    v[9] = low3;
    v[8] = of(v, 8) + high1 + Math.floor(low3 / 2 ** 32);
    v[1] = low2;
    v[0] = high1 + sum0(ah, al) + ((ah & bh) ^ (ah & ch) ^ (bh & ch)) + Math.floor(low2 / 2 ** 32);
  }
  for (let i = 0; i < 16; i += 2) {
    const sum = low(state, i + 1) + low(v, i + 1);
    state[i + 1] = sum;
    state[i] = of(state, i) + of(v, i) + Math.floor(sum / 2 ** 32);
  }
}

export function sha512(bytes: Uint8Array): Bytes {
  // 0x80, zeros, and how many bits they are in the last bytes of a block of 128.
  const blocks = new Uint8Array(((bytes.length + 16) >> 7 << 7) + 128);
  blocks.set(bytes);
  blocks[bytes.length] = 0x80;
  const view = new DataView(blocks.buffer);
  view.setUint32(blocks.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(blocks.length - 4, (bytes.length << 3) >>> 0);
  const state = start.slice();
  for (let at = 0; at < blocks.length; at += 128) compress(state, view, at);
  const hash = new DataView(new ArrayBuffer(64));
  state.forEach((half, i) => hash.setInt32(4 * i, half));
  return new Uint8Array(hash.buffer);
}
