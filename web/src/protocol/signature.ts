// Ed25519 by this program alone: signing, and verifying where the browser is of no help. Strict and without a cofactor, as
// SPEC.md, section 2, decides it, so that all programs say the same of the same bytes.

import { hashes, Point, sign as edSign, getPublicKey } from "@noble/ed25519";
import { type Bytes, concat, equal } from "./bytes.ts";
import { sha512 } from "./sha512.ts";
import { L, littleEndian, mayVerify } from "./verifier.ts";

// Pages on http:// addresses have no crypto.subtle, which noble would ask for SHA-512.
hashes.sha512 = sha512;

/** Whether a signature verifies. It takes 2 to 5 ms. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!mayVerify(key, signature)) return false;
  const r = signature.subarray(0, 32);
  const s = littleEndian(signature.subarray(32));
  const k = littleEndian(sha512(concat([r, key, message]))) % L;
  return equal(Point.BASE.multiply(s, false).subtract(Point.fromBytes(key).multiply(k, false)).toBytes(), r);
}

/** The public key of a seed (RFC 8032's private key). */
export function publicKey(seed: Uint8Array): Bytes {
  return Uint8Array.from(getPublicKey(seed));
}

export function sign(message: Uint8Array, seed: Uint8Array): Bytes {
  return Uint8Array.from(edSign(message, seed));
}
