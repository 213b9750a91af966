// The page's side of seal.ts.

import { askWorker } from "./asking.ts";
import type { SealQuestion } from "./seal.ts";

export async function sealInWorker(text: string, passphrase: string): Promise<string> {
  return askWorker<SealQuestion, string>("seal", { seal: text, passphrase });
}

export function unsealInWorker(file: Uint8Array, passphrase: string): Promise<string | undefined> {
  return askWorker<SealQuestion, string | undefined>("seal", { unseal: file, passphrase });
}
