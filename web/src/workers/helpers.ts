// More workers, where the browser leaves signatures to this program, or there are many.

import type { ToThread } from "./messages.ts";
import { startWorker } from "./pool.ts";

/** How many workers check signatures, at most. */
const maxHelpers = 4;

/** One core is left to the page. */
export function addHelpers(worker: Worker): void {
  const count = Math.max(1, Math.min(maxHelpers, (navigator.hardwareConcurrency || 2) - 1));
  const ports = Array.from({ length: count }, () => {
    const { port1, port2 } = new MessageChannel();
    startWorker("thread").postMessage({ kind: "help", port: port1 } satisfies ToThread, [port1]);
    return port2;
  });
  worker.postMessage({ kind: "helpers", ports } satisfies ToThread, ports);
}
