// The worker for what takes seconds: it pays work, seals files and opens them, makes a folder for other readers. Each
// question has a worker of its own.

import { type Draft, payWork } from "../protocol/build.ts";
import { seal, unseal } from "./age.ts";
import { carOfKept, type FolderQuestion } from "./folder.ts";
import { role } from "./role.ts";

export interface WorkQuestion {
  readonly draft: Draft;
  /** 64 hex digits. */
  readonly key: string;
  readonly bits: number;
}
export interface SealQuestion {
  /** What to seal, or a file to open. */
  readonly text: string | Uint8Array;
  readonly passphrase: string;
}

export type Question = WorkQuestion | SealQuestion | FolderQuestion;
/** done: a nonce, a text that was sealed or opened, a folder's CAR. tried: nonces tried; the chance that so many suffice is 1 - e^(-tried / 2^bits). */
export type Answer = { readonly tried: number } | { readonly done: string | Uint8Array | undefined };

const scope = globalThis as unknown as {
  postMessage(message: Answer): void;
  onmessage: ((event: MessageEvent<Question>) => void) | null;
};

if (role === "work") {
  const tell = (done: string | Uint8Array | undefined): void => scope.postMessage({ done });
  // What is thrown here, and not in a promise, ends the worker, of which the page hears.
  scope.onmessage = ({ data }) => {
    if ("names" in data) void carOfKept(data).then(tell);
    else if ("draft" in data) tell(payWork(data.draft, data.key, data.bits, (tried) => scope.postMessage({ tried })).nonce ?? "");
    else tell(typeof data.text === "string" ? seal(data.text, data.passphrase) : unseal(data.text, data.passphrase));
  };
}
