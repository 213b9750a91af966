// The page's side of work.ts.

import { startWorker } from "./pool.ts";
import type { WorkAnswer, WorkQuestion } from "./work.ts";

/** Pays work in a worker of its own. */
export function payWork(question: WorkQuestion, tell: (tried: number) => void, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const worker = startWorker("work");
    const end = (): void => worker.terminate();
    signal.addEventListener("abort", () => {
      end();
      reject(signal.reason as Error);
    });
    worker.onerror = () => {
      end();
      reject(new Error("the work cannot be done"));
    };
    worker.onmessage = ({ data }: MessageEvent<WorkAnswer>) => {
      if ("tried" in data) return tell(data.tried);
      end();
      resolve(data.nonce);
    };
    worker.postMessage(question);
  });
}
