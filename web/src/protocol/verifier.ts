// Who may sign, and which of two ways decides whether he did: SPEC.md, section 2. Libraries differ on keys of small or
// mixed order and on odd encodings; the checks of key and S are therefore made here, and only the equation is left to
// the browser, if it is seen to decide it alike. Else signature.ts decides it, which comes when it is needed.

import { type Bytes, fromHex, toHex } from "./bytes.ts";

/** A way to decide: the key's 32 bytes, the message, the signature's 64 bytes. */
export type Verifier = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

// RFC 8032: the field, the curve's d, a root of -1, and the order of the base point.
export const p = 2n ** 255n - 19n;
const d = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
const rootOfMinus1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752n;
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const orderBits = L.toString(2);

// What is known of keys: a key costs a scalar multiplication to check, and has many comments in a thread.
const maxKnownKeys = 4096;
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
    sum = add(sum, sum);
    if (bit === "1") sum = add(sum, point);
  }
  return sum[0] % p === 0n && (sum[1] - sum[2]) % p === 0n;
}

/** One of the two points that have a y; undefined if there are none, or they are one. */
export function pointOf(y: bigint): Point | undefined {
  const u = y * y - 1n;
  const v = (d * y * y + 1n) % p;
  // The root of u/v, if there is one: RFC 8032, 5.1.3.
  let x = (u * v ** 3n * power((u * v ** 7n) % p, (p - 5n) / 8n)) % p;
  if ((v * x * x + u) % p === 0n) x = (x * rootOfMinus1) % p;
  return y >= p || x === 0n || (v * x * x - u) % p !== 0n ? undefined : [x, y, 1n, (x * y) % p];
}

/** Extended coordinates; numbers need not be positive. */
export type Point = readonly [x: bigint, y: bigint, z: bigint, t: bigint];

/** The sum of any two points (Hisil, Wong, Carter, Dawson, 2008). */
export function add([x1, y1, z1, t1]: Point, [x2, y2, z2, t2]: Point): Point {
  const a = ((y1 - x1) * (y2 - x2)) % p;
  const b = ((y1 + x1) * (y2 + x2)) % p;
  const c = (((2n * t1 * t2) % p) * d) % p;
  const e = (2n * z1 * z2) % p;
  return [((b - a) * (e - c)) % p, ((e + c) * (b + a)) % p, ((e - c) * (e + c)) % p, ((b - a) * (b + a)) % p];
}

export function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % p;
    if (bit === "1") result = (result * base) % p;
  }
  return result;
}

/** A number of RFC 8032. */
export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt("0x" + toHex(Uint8Array.from(bytes).reverse()));
}

/** Whether key and S of a signature are such that the equation is worth deciding. */
export function mayVerify(key: Uint8Array, signature: Uint8Array): boolean {
  // L is a little above 2^252: almost every S is seen by its last byte to be below.
  return signature.length === 64 && ((signature[63] as number) < 0x10 || littleEndian(signature.subarray(32)) < L) && isKey(key);
}

/** A verifier that leaves the equation to crypto.subtle, 20 to 50 times as fast. Use it only if decidesAlike. */
export function verifierOf(subtle: SubtleCrypto): Verifier {
  const imported = new Map<string, Promise<CryptoKey>>();
  return async (key, message, signature) => {
    if (!mayVerify(key, signature)) return false;
    const hex = toHex(key);
    let known = imported.get(hex);
    if (known === undefined) {
      if (imported.size >= maxKnownKeys) imported.clear();
      imported.set(hex, (known = subtle.importKey("raw", key as Bytes, "Ed25519", false, ["verify"])));
    }
    return subtle.verify("Ed25519", await known, signature as Bytes, message as Bytes);
  };
}

/** This program's own verifier. */
export const slowVerifier: Verifier = async (key, message, signature) => (await import("./signature.ts")).verify(key, message, signature);

// The cases of testdata/vectors/signatures.json that a good key leaves open: signatures whose R is odd. The test
// compares them with the file.
export const probes: { key: string; message: string; cases: readonly (readonly [signature: string, valid: boolean])[] } = {
  key: "88aa55e6afeed8960a3191de78600347db8acd0a3795412f275f049b86260488",
  message: "636f6d6e7472206564676520636173652000000000",
  cases: [
    [
      "3e54c441927f9f0ee5e13e34f0b0404c5043651a8f4b7ef087a1c42262a85d0a" +
        "e45d37a5d7abddfdf43c7211a4cc8787bc2618b5c054f17704b582f43f69560a",
      true,
    ],
    [
      "0100000000000000000000000000000000000000000000000000000000000000" +
        "775d6e77cecb9866e3d5751cc1fbb5504bd2966e172e33cc9f151e9534039105",
      true,
    ],
    [
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "e554923e8605ca8006cd80ef550ba18459e004234d6f542e6e13898a024e0702",
      false,
    ],
    [
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "775d6e77cecb9866e3d5751cc1fbb5504bd2966e172e33cc9f151e9534039105",
      false,
    ],
    [
      "0100000000000000000000000000000000000000000000000000000000000080" +
        "c95cadca0ca86c9cf43a77bff700548475416acdb6d118650e606a4fbe53b90c",
      false,
    ],
    [
      "5b61c2e3b93e6c06450f327ea72cdfeb8cde6aa020d2dd827ab3f86e708c8393" +
        "b8f631a259966faae070e29eb410563e8d1a042de60d4fa2b6330bada6828e0f",
      false,
    ],
    [
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "3a5d83834b0ca987b55a659eec1f2b8ca6ae71b93d1c0138e42b19b380af7a04",
      false,
    ],
  ],
};

/** Whether a browser's Ed25519 decides the edge cases as verify does. It takes a few milliseconds, once. */
export async function decidesAlike(subtle: SubtleCrypto | undefined): Promise<boolean> {
  if (subtle === undefined) return false;
  const verifier = verifierOf(subtle);
  try {
    for (const [signature, valid] of probes.cases) {
      if ((await verifier(fromHex(probes.key), fromHex(probes.message), fromHex(signature))) !== valid) return false;
    }
    return true;
  } catch {
    // No Ed25519 here, or only some of it.
    return false;
  }
}

/** The verifier to use in this browser or worker. */
export async function chooseVerifier(subtle: SubtleCrypto | undefined): Promise<Verifier> {
  if (subtle !== undefined && (await decidesAlike(subtle))) return verifierOf(subtle);
  return slowVerifier;
}
