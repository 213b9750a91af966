// One question to a worker that is made for it.

import { startWorker } from "./pool.ts";

/** What the worker of that name answers. It rejects where the browser ends it, most likely for want of memory. */
export function askWorker<Question, Answer>(name: string, question: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const worker = startWorker(name);
    worker.onerror = () => {
      worker.terminate();
      reject(new Error("a worker failed"));
    };
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      worker.terminate();
      resolve(data);
    };
    worker.postMessage(question);
  });
}
