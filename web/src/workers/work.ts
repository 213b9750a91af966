// The worker that pays work: it tries nonces until the act has enough leading zero bits, and tells how far it is.

import { type Draft, payWork } from "../protocol/build.ts";

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

if ("onmessage" in globalThis) {
  scope.onmessage = ({ data }) => {
    const { nonce = "" } = payWork(data.draft, data.key, data.bits, (tried) => scope.postMessage({ tried }));
    scope.postMessage({ nonce });
  };
}
