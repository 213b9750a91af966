// SHA-256 (FIPS 180-4), of bytes that are here as a whole. In a browser crypto.subtle has it too, but not on pages of
// http:// addresses, and its answers come later: of the small blocks that folders consist of, waiting is most of the work.

import { type Bytes, concat, padded } from "./bytes.ts";

// The first 32 bits behind the point of the roots of the first primes: of 8 the square roots, of 64 the cube roots.
export const primes: number[] = [];
for (let n = 2; primes.length < 80; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
const fraction = (root: number): number => (root % 1) * 2 ** 32;
const start = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const k = Int32Array.from(primes.slice(0, 64), (prime) => fraction(Math.cbrt(prime)));

const w = new Int32Array(64);

function rotr(x: number, n: number): number {
  return (x >>> n) | (x << (32 - n));
}

/** Puts a block of 64 bytes into the state. */
function compress(s: Int32Array, block: DataView, at: number): void {
  for (let i = 0; i < 16; i++) w[i] = block.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15] as number;
    const y = w[i - 2] as number;
    w[i] = ((w[i - 16] as number) + (rotr(x, 7) ^ rotr(x, 18) ^ (x >>> 3)) + (w[i - 7] as number) + (rotr(y, 17) ^ rotr(y, 19) ^ (y >>> 10))) | 0;
  }
  let a = s[0] as number, b = s[1] as number, c = s[2] as number, d = s[3] as number;
  let e = s[4] as number, f = s[5] as number, g = s[6] as number, h = s[7] as number;
  for (let i = 0; i < 64; i++) {
    const t = (h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + (k[i] as number) + (w[i] as number)) | 0;
    const u = ((rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t) | 0;
    d = c;
    c = b;
    b = a;
    a = (t + u) | 0;
  }
  const words = [a, b, c, d, e, f, g, h];
  for (let i = 0; i < 8; i++) s[i] = (s[i] as number) + (words[i] as number);
}

export function sha256(bytes: Uint8Array): Bytes {
  return finish(start.slice(), bytes, 0);
}

/** Hashes of bytes that begin alike: what is in whole blocks of the beginning is taken in once. */
export function sha256After(beginning: Uint8Array): (rest: Uint8Array) => Bytes {
  const whole = beginning.length & -64;
  const view = new DataView(beginning.buffer, beginning.byteOffset);
  const state = start.slice();
  for (let at = 0; at < whole; at += 64) compress(state, view, at);
  const tail = beginning.subarray(whole);
  return (rest) => finish(state.slice(), concat([tail, rest]), whole);
}

/** Takes in what is left, behind so many bytes. */
function finish(state: Int32Array, bytes: Uint8Array, before: number): Bytes {
  const blocks = padded(bytes, before);
  for (let at = 0; at < blocks.byteLength; at += 64) compress(state, blocks, at);
  const hash = new DataView(new ArrayBuffer(32));
  for (let i = 0; i < 8; i++) hash.setInt32(4 * i, state[i] as number);
  return new Uint8Array(hash.buffer);
}
