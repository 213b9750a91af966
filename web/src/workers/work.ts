// The worker that pays work: it tries nonces until the act has enough leading zero bits, and tells how far it is.

import { signedPart } from "../protocol/build.ts";
import type { Draft } from "../protocol/build.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8 } from "../protocol/bytes.ts";
import { leadingZeroBits } from "../protocol/work.ts";

export interface WorkQuestion {
  readonly draft: Draft;
  /** 64 hex digits. */
  readonly key: string;
  readonly bits: number;
}
/** tried: nonces tried; the chance that so many suffice is 1 - e^(-tried / 2^bits). */
export type WorkAnswer = { readonly tried: number } | { readonly nonce: string };

const scope = globalThis as unknown as {
  postMessage(message: WorkAnswer): void;
  onmessage: ((event: MessageEvent<WorkQuestion>) => void) | null;
};
const step = 1 << 15;

/** The smallest nonce that pays. */
export function findNonce(draft: Draft, key: string, bits: number, tell: (tried: number) => void): string {
  const { nonce: _, ...unpaid } = draft;
  const marked = signedPart({ ...unpaid, nonce: "\0" }, key);
  const at = marked.indexOf("\0");
  const before = sha256.create().update(utf8(marked.slice(0, at)));
  const after = utf8(marked.slice(at + 1));
  for (let nonce = 0; ; nonce++) {
    if (nonce % step === step - 1) tell(nonce + 1);
    const hash = before.clone().update(utf8(String(nonce))).update(after).digest();
    if (leadingZeroBits(hash) >= bits) return String(nonce);
  }
}

if ("onmessage" in globalThis) {
  scope.onmessage = ({ data }) => {
    const nonce = findNonce(data.draft, data.key, data.bits, (tried) => scope.postMessage({ tried }));
    scope.postMessage({ nonce });
  };
}
