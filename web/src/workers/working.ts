// The page's side of work.ts.

import { startWorker } from "./pool.ts";
import type { SealAnswer, SealQuestion, WorkAnswer, WorkQuestion } from "./work.ts";

/** isLast: whether an answer is the one that was asked for. */
function ask<Last>(question: WorkQuestion | SealQuestion, failure: string, isLast: (answer: WorkAnswer | SealAnswer) => boolean, signal?: AbortSignal): Promise<Last> {
  return new Promise((resolve, reject) => {
    const worker = startWorker("work");
    const end = (error: unknown): void => {
      worker.terminate();
      reject(error);
    };
    signal?.addEventListener("abort", () => end(signal.reason));
    worker.onerror = () => end(new Error(failure));
    worker.onmessage = ({ data }: MessageEvent<WorkAnswer | SealAnswer>) => {
      if (!isLast(data)) return;
      worker.terminate();
      resolve(data as Last);
    };
    worker.postMessage(question);
  });
}

export async function payWork(question: WorkQuestion, tell: (tried: number) => void, signal: AbortSignal): Promise<string> {
  const isLast = (answer: WorkAnswer | SealAnswer): boolean => {
    if ("tried" in answer) tell(answer.tried);
    return "nonce" in answer;
  };
  return (await ask<{ nonce: string }>(question, "the work cannot be done", isLast, signal)).nonce;
}

async function askSealer(question: SealQuestion): Promise<string | undefined> {
  // No memory for scrypt, most likely.
  return (await ask<SealAnswer>(question, "this browser cannot seal files", () => true)).text;
}

export async function sealInWorker(text: string, passphrase: string): Promise<string> {
  return (await askSealer({ text, passphrase })) as string;
}

export function unsealInWorker(text: Uint8Array, passphrase: string): Promise<string | undefined> {
  return askSealer({ text, passphrase });
}
