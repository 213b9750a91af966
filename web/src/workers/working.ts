// The page's side of work.ts.

import type { FolderQuestion } from "./folder.ts";
import { startWorker } from "./pool.ts";
import type { Answer, Question, WorkQuestion } from "./work.ts";

/** tell hears how many nonces were tried, while it is work that is paid. */
function ask<T>(question: Question, tell = (_tried: number): void => undefined, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = startWorker("work");
    const end = (error: unknown): void => {
      worker.terminate();
      reject(error);
    };
    signal?.addEventListener("abort", () => end(signal.reason));
    worker.onerror = () => end(new Error("a worker failed: no memory, most likely"));
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      if ("tried" in data) return tell(data.tried);
      worker.terminate();
      resolve(data.done as T);
    };
    worker.postMessage(question);
  });
}

export const payWork = (question: WorkQuestion, tell: (tried: number) => void, signal: AbortSignal): Promise<string> => ask(question, tell, signal);

export const sealInWorker = (text: string, passphrase: string): Promise<string> => ask({ text, passphrase });

export const unsealInWorker = (text: Uint8Array, passphrase: string): Promise<string | undefined> => ask({ text, passphrase });

export const folderInWorker = (question: FolderQuestion): Promise<Uint8Array> => ask(question);
