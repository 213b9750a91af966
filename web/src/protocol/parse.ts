// Judging a document at once, by this program alone: for what this page writes, and for tests.

import { badSignature, type Document, readDocument, type Refusal, sha1OfDocument } from "./document.ts";
import type { Place } from "./hash.ts";
import type { Sum } from "./sha1.ts";
import { verify } from "./signature.ts";

/** Judges bytes for a place. sum: their SHA-1, if it is known already. */
export function parseDocument(bytes: Uint8Array, place: Place, sum: Sum = sha1OfDocument(bytes)): Document | Refusal {
  const read = readDocument(bytes, place, sum);
  if ("code" in read) return read;
  const { document, claim } = read;
  return claim === undefined || verify(claim.key, claim.message, claim.signature) ? document : badSignature;
}
