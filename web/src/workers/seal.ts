// The worker that seals and opens files: scrypt takes a second.

import { seal, unseal } from "./age.ts";

export type SealQuestion = { readonly seal: string; readonly passphrase: string } | { readonly unseal: Uint8Array; readonly passphrase: string };

const scope = globalThis as unknown as {
  postMessage(message: string | undefined): void;
  onmessage: ((event: MessageEvent<SealQuestion>) => void) | null;
};
scope.onmessage = ({ data }) => {
  scope.postMessage("seal" in data ? seal(data.seal, data.passphrase) : unseal(data.unseal, data.passphrase));
};
