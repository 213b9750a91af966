// Ed25519 (RFC 8032) by this program alone: signing, and verifying where the browser is of no help. Strict and without a
// cofactor, as SPEC.md, section 2, decides it, so that all programs say the same of the same bytes.

import { type Bytes, concat, equal, fromHex } from "./bytes.ts";
import { sha512 } from "./sha512.ts";
import { add, L, littleEndian, mayVerify, p, type Point, pointOf, power } from "./verifier.ts";

const identity: Point = [0n, 1n, 1n, 0n];
const base = pointWith((4n * power(5n, p - 2n)) % p, 0n);

/** The point of a y that has one, with an even x or an odd one. */
function pointWith(y: bigint, odd: bigint): Point {
  const [x, , z, t] = pointOf(y) as Point;
  return (x & 1n) === odd ? [x, y, z, t] : [p - x, y, z, p - t];
}

function bytesOf(n: bigint): Bytes {
  return fromHex(n.toString(16).padStart(64, "0")).reverse();
}

function encode([x, y, z]: Point): Bytes {
  const inverse = power(z, p - 2n);
  const of = (n: bigint): bigint => (((n * inverse) % p) + p) % p;
  return bytesOf(of(y) | ((of(x) & 1n) << 255n));
}

function bitsOf(scalar: bigint): string {
  return scalar.toString(2).padStart(256, "0");
}

/** A multiple of the base point. Its steps are the same for all scalars: what is private is not told by how many they are. */
function multiple(scalar: bigint): Point {
  let sum = identity;
  for (const bit of bitsOf(scalar)) {
    const twice = add(sum, sum);
    const more = add(twice, base);
    sum = bit === "1" ? more : twice;
  }
  return sum;
}

/** Whether a signature verifies. It takes some milliseconds. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!mayVerify(key, signature)) return false;
  const r = signature.subarray(0, 32);
  const s = bitsOf(littleEndian(signature.subarray(32)));
  const k = bitsOf(littleEndian(sha512(concat([r, key, message]))) % L);
  const y = littleEndian(key);
  // S times the base less k times the key is R, both at once.
  const [x, , , t] = pointWith(BigInt.asUintN(255, y), y >> 255n);
  const less: Point = [p - x, BigInt.asUintN(255, y), 1n, p - t];
  const both = add(base, less);
  let sum = identity;
  for (let i = 0; i < 256; i++) {
    sum = add(sum, sum);
    if (s[i] === "1") sum = add(sum, k[i] === "1" ? both : base);
    else if (k[i] === "1") sum = add(sum, less);
  }
  return equal(encode(sum), r);
}

/** A seed (RFC 8032's private key) as the scalar and what nonces are made of. */
function expand(seed: Uint8Array): [scalar: bigint, prefix: Uint8Array] {
  const hash = sha512(seed);
  return [(BigInt.asUintN(254, littleEndian(hash.subarray(0, 32))) & ~7n) | (1n << 254n), hash.subarray(32)];
}

/** The public key of a seed. */
export function publicKey(seed: Uint8Array): Bytes {
  return encode(multiple(expand(seed)[0]));
}

export function sign(message: Uint8Array, seed: Uint8Array): Bytes {
  const [scalar, prefix] = expand(seed);
  const nonce = littleEndian(sha512(concat([prefix, message]))) % L;
  const r = encode(multiple(nonce));
  const k = littleEndian(sha512(concat([r, publicKey(seed), message])));
  return concat([r, bytesOf((nonce + k * scalar) % L)]);
}
