// Ed25519 (RFC 8032) by this program alone: signing, and verifying where the browser is of no help. Strict and without a
// cofactor, as SPEC.md, section 2, decides it, so that all programs say the same of the same bytes.

import { type Bytes, concat, equal, toHex } from "./bytes.ts";
import { sha512 } from "./sha512.ts";
import { bytesOf, isScalar, L, littleEndian, maxKnownKeys, p } from "./verifier.ts";

// RFC 8032: the curve's d, and a root of -1.
const d = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const rootOfMinus1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752n;
const orderBits = L.toString(2);

const knownKeys = new Map<string, boolean>();

/** Whether a key may sign: canonical, on the curve, in the subgroup of prime order, not the identity. */
export function isKey(key: Uint8Array): boolean {
  const hex = toHex(key);
  let known = knownKeys.get(hex);
  if (known === undefined) {
    if (knownKeys.size >= maxKnownKeys) knownKeys.clear();
    known = key.length === 32 && isOfPrimeOrder(BigInt.asUintN(255, littleEndian(key)));
    knownKeys.set(hex, known);
  }
  return known;
}

/** Of a point, by its y: what is asked here holds of both points that have it. x = 0 are the identity and one of order 2. */
function isOfPrimeOrder(y: bigint): boolean {
  const point = pointOf(y);
  if (point === undefined) return false;
  // L times the point, which is then the identity.
  let sum = point;
  for (const bit of orderBits.slice(1)) {
    sum = twice(sum);
    if (bit === "1") sum = add(sum, point);
  }
  return sum[0] % p === 0n && (sum[1] - sum[2]) % p === 0n;
}

/** One of the two points that have a y; undefined if there are none, or they are one. */
function pointOf(y: bigint): Point | undefined {
  const u = y * y - 1n;
  const v = (d * y * y + 1n) % p;
  // The root of u/v, if there is one: RFC 8032, 5.1.3.
  let x = (u * v ** 3n * power((u * v ** 7n) % p, (p - 5n) / 8n)) % p;
  if ((v * x * x + u) % p === 0n) x = (x * rootOfMinus1) % p;
  return y >= p || x === 0n || (v * x * x - u) % p !== 0n ? undefined : [x, y, 1n, (x * y) % p];
}

/** Extended coordinates; numbers need not be positive. */
type Point = readonly [x: bigint, y: bigint, z: bigint, t: bigint];

/** The sum of any two points (Hisil, Wong, Carter, Dawson, 2008). */
function add([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = reduce((y1 - x1) * (y2 - x2));
  const b = reduce((y1 + x1) * (y2 + x2));
  const c = reduce(reduce(2n * t1 * t2) * d);
  const e = reduce(2n * z1 * z2);
  return [reduce((b - a) * (e - c)), reduce((e + c) * (b + a)), reduce((e - c) * (e + c)), reduce((b - a) * (b + a))];
}

/** The sum of a point with itself, in fewer steps. */
function twice([x, y, z]: Point): Point {
  const a = reduce(x * x);
  const b = reduce(y * y);
  const e = reduce((x + y) ** 2n) - a - b;
  const f = b - a - reduce(2n * z * z);
  return [reduce(e * f), reduce((a - b) * (a + b)), reduce((b - a) * f), reduce(-e * (a + b))];
}

const low = 2n ** 255n - 1n;
/** The same modulo p and about as small: 2^255 is 19 there. A division would take twice as long. */
function reduce(n: bigint): bigint {
  const once = (n & low) + 19n * (n >> 255n);
  return (once & low) + 19n * (once >> 255n);
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % p;
    if (bit === "1") result = (result * base) % p;
  }
  return result;
}

const identity: Point = [0n, 1n, 1n, 0n];
const base = pointWith((4n * power(5n, p - 2n)) % p, 0n);

/** The point of a y that has one, with an even x or an odd one. */
function pointWith(y: bigint, odd: bigint): Point {
  const [x, , z, t] = pointOf(y) as Point;
  return (x & 1n) === odd ? [x, y, z, t] : [p - x, y, z, p - t];
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
  if (!isScalar(signature.subarray(32)) || !isKey(key)) return false;
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
    sum = twice(sum);
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
