// Ed25519 as SPEC.md, section 2, decides it: strict, without a cofactor, so that all programs say the same of the same
// bytes. Libraries differ on keys of small or mixed order and on odd encodings; the checks of key and S are therefore
// made here, and only the equation is left to the browser, if it is seen to decide it alike.

import { hashes, Point, sign as edSign, getPublicKey } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equal, fromHex, toHex } from "./bytes.ts";

// Pages on http:// addresses have no crypto.subtle, which noble would ask for SHA-512.
hashes.sha512 = sha512;

/** A way to decide: the key's 32 bytes, the message, the signature's 64 bytes. */
export type Verifier = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

// The order of the base point.
const L = 2n ** 252n + 27742317777372353535851937790883648493n;

const P = 2n ** 255n - 19n;
const mask = 2n ** 255n - 1n;
/** Twice the curve's d. */
const twoD = (2n * 37095705934669439343138083508754565189542113879843219016388785533085940283555n) % P;
/** Much smaller, and the same modulo P; not always the smallest, and it may be below zero. */
const reduce = (x: bigint): bigint => {
  const y = (x & mask) + 19n * (x >> 255n);
  return (y & mask) + 19n * (y >> 255n);
};
/** Bits of a scalar that are added at once. */
const window = 4;

/**
 * A point n times, n from 0 to L. noble's own way takes two to three times as long, since it makes and checks a point
 * at each step; thousands of signatures and hundreds of keys are checked with this. The formulas hold for all points of
 * the curve, those of small order among them: dbl-2008-hwcd and add-2008-hwcd-3 of the Explicit-Formulas Database.
 */
export function times(point: Point, n: bigint): Point {
  // What is odd and below 2^window.
  const twice = point.double();
  const table = [point];
  while (table.length < 1 << (window - 1)) table.push((table[table.length - 1] as Point).add(twice));
  const ready = table.map((each) => [each.Y - each.X, each.Y + each.X, (each.T * twoD) % P, 2n * each.Z] as const);
  let [x, y, z, t] = [0n, 1n, 1n, 0n];
  const bits = n.toString(2);
  for (let at = 0; at < bits.length; ) {
    // A zero, or a window that begins and ends with a one.
    const digits = bits[at] === "0" ? "0" : bits.slice(at, at + window).replace(/0+$/, "");
    at += digits.length;
    for (let i = 0; i < digits.length; i++) {
      const a = reduce(x * x), b = reduce(y * y), e = reduce((x + y) * (x + y)) - a - b, g = b - a, f = g - reduce(2n * z * z), h = -a - b;
      x = reduce(e * f), y = reduce(g * h), z = reduce(f * g), t = reduce(e * h);
    }
    if (digits === "0") continue;
    const [minus, plus, td, z2] = ready[Number.parseInt(digits, 2) >> 1] as (typeof ready)[number];
    const a = reduce((y - x) * minus), b = reduce((y + x) * plus), c = reduce(t * td), d = reduce(z * z2);
    const e = b - a, f = d - c, g = d + c, h = b + a;
    x = reduce(e * f), y = reduce(g * h), z = reduce(f * g), t = reduce(e * h);
  }
  const canonical = (value: bigint): bigint => ((value % P) + P) % P;
  return new Point(canonical(x), canonical(y), canonical(z), canonical(t));
}

// What is known of keys: a key costs a scalar multiplication to check, and has many comments in a thread.
const maxKnownKeys = 4096;
const knownKeys = new Map<string, Point | undefined>();

/** The point of a key that may sign: canonical, in the subgroup of prime order, not the identity. */
function keyPoint(key: Uint8Array): Point | undefined {
  const hex = toHex(key);
  if (knownKeys.has(hex)) return knownKeys.get(hex);
  let point: Point | undefined;
  try {
    point = Point.fromBytes(key);
    if (point.is0() || !times(point, L).is0()) point = undefined;
  } catch {
    // Not canonical, or not on the curve.
  }
  if (knownKeys.size >= maxKnownKeys) knownKeys.clear();
  knownKeys.set(hex, point);
  return point;
}

export function isKey(key: Uint8Array): boolean {
  return key.length === 32 && keyPoint(key) !== undefined;
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt("0x" + toHex(Uint8Array.from(bytes).reverse()));
}

/** Whether a signature verifies, decided by this program alone. It takes 2 to 5 ms. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  const s = littleEndian(signature.subarray(32));
  const a = s < L ? keyPoint(key) : undefined;
  if (a === undefined) return false;
  const r = signature.subarray(0, 32);
  const k = littleEndian(sha512(concat([r, key, message]))) % L;
  return equal(Point.BASE.multiply(s, false).subtract(times(a, k)).toBytes(), r);
}

/** A verifier that leaves the equation to crypto.subtle, 20 to 50 times as fast. Use it only if decidesAlike. */
export function verifierOf(subtle: SubtleCrypto): Verifier {
  const imported = new Map<string, Promise<CryptoKey>>();
  return async (key, message, signature) => {
    if (!isKey(key) || signature.length !== 64) return false;
    // L is a little above 2^252: almost every S is seen by its last byte to be below.
    if ((signature[63] as number) >= 0x10 && littleEndian(signature.subarray(32)) >= L) return false;
    const hex = toHex(key);
    let known = imported.get(hex);
    if (known === undefined) {
      if (imported.size >= maxKnownKeys) imported.clear();
      imported.set(hex, (known = subtle.importKey("raw", key as Bytes, "Ed25519", false, ["verify"])));
    }
    return subtle.verify("Ed25519", await known, signature as Bytes, message as Bytes);
  };
}

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
  return async (key, message, signature) => verify(key, message, signature);
}

/** The public key of a seed (RFC 8032's private key). */
export function publicKey(seed: Uint8Array): Bytes {
  return Uint8Array.from(getPublicKey(seed));
}

export function sign(message: Uint8Array, seed: Uint8Array): Bytes {
  return Uint8Array.from(edSign(message, seed));
}
