// The worker for what takes seconds: it pays work, seals files and opens them, makes a folder for other readers. Each
// question has a worker of its own.

import { type Draft, payWork } from "../protocol/build.ts";
import { seal, unseal } from "./age.ts";
import { carOfKept, type FolderAnswer, type FolderQuestion } from "./folder.ts";
import { role } from "./role.ts";

export interface WorkQuestion {
  readonly draft: Draft;
  /** 64 hex digits. */
  readonly key: string;
  readonly bits: number;
}
/** tried: nonces tried; the chance that so many suffice is 1 - e^(-tried / 2^bits). */
export type WorkAnswer = { readonly tried: number } | { readonly nonce: string };

export interface SealQuestion {
  /** What to seal, or a file to open. */
  readonly text: string | Uint8Array;
  readonly passphrase: string;
}
export interface SealAnswer {
  readonly text: string | undefined;
}

export type Question = WorkQuestion | SealQuestion | FolderQuestion;
export type Answer = WorkAnswer | SealAnswer | FolderAnswer;

const scope = globalThis as unknown as {
  postMessage(message: Answer): void;
  onmessage: ((event: MessageEvent<Question>) => void) | null;
};

if (role === "work") {
  scope.onmessage = ({ data }) => {
    if ("passphrase" in data) {
      const { text, passphrase } = data;
      return scope.postMessage({ text: typeof text === "string" ? seal(text, passphrase) : unseal(text, passphrase) });
    }
    if ("names" in data) return void carOfKept(data).then((answer) => scope.postMessage(answer));
    // Tries nonces until the act has enough leading zero bits, and tells how far it is.
    const { nonce = "" } = payWork(data.draft, data.key, data.bits, (tried) => scope.postMessage({ tried }));
    scope.postMessage({ nonce });
  };
}
