// The copy of this page that opens without a network: see workers/sw.ts.

import { shared } from "../gateway.ts";
import { workerURL } from "../workers/pool.ts";
import { whenIdle } from "./idle.ts";

/** Undefined where browsers give none, as on http:// addresses, and where other pages could make theirs of it. */
const container = shared ? undefined : (navigator as { readonly serviceWorker?: ServiceWorkerContainer }).serviceWorker;
let isDropped = false;

/** The copies of this page, by versions, oldest first; see sw.ts. */
async function copies(): Promise<string[]> {
  return (await caches.keys()).filter((name) => name.startsWith(`comntr ${new URL("./", location.href).href} `));
}

/** Keeps a copy when there is time. replaced: called when there is one of another version than this, a folder's name. */
export async function keepCopy(folder: string, replaced: () => void): Promise<void> {
  if (container === undefined) return;
  const look = async (): Promise<void> => {
    const newest = (await copies()).at(-1);
    if (newest !== undefined && !newest.endsWith(folder)) replaced();
  };
  container.addEventListener("controllerchange", () => void look());
  await whenIdle();
  await look();
  if (!isDropped && navigator.onLine) await container.register(workerURL("../sw"));
}

/** Looks for another version, and waits until all of it is here. */
export async function renewCopy(): Promise<void> {
  const worker = (await (await container?.getRegistration())?.update())?.installing;
  await new Promise<void>((resolve) => {
    if (worker == null) return resolve();
    worker.addEventListener("statechange", () => worker.state !== "installing" && resolve());
  });
}

/** Drops it, until the next visit. */
export async function dropCopy(): Promise<void> {
  isDropped = true;
  await (await container?.getRegistration())?.unregister();
  if (container !== undefined) for (const name of await copies()) await caches.delete(name);
}
