// The page's side of seal.ts.

import { startWorker } from "./pool.ts";
import type { SealQuestion } from "./seal.ts";

function ask(question: SealQuestion): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const worker = startWorker("seal");
    worker.onerror = () => {
      worker.terminate();
      // No memory for scrypt, most likely.
      reject(new Error("this browser cannot seal files"));
    };
    worker.onmessage = ({ data }: MessageEvent<string | undefined>) => {
      worker.terminate();
      resolve(data);
    };
    worker.postMessage(question);
  });
}

export async function sealInWorker(text: string, passphrase: string): Promise<string> {
  return (await ask({ seal: text, passphrase })) as string;
}

export function unsealInWorker(file: Uint8Array, passphrase: string): Promise<string | undefined> {
  return ask({ unseal: file, passphrase });
}
