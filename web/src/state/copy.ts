// The copy of this page that opens without a network: see workers/sw.ts.

import { shared } from "../gateway.ts";
import { about } from "../net/deadline.ts";
import { workerURL } from "../workers/pool.ts";
import { whenIdle } from "./idle.ts";

/** Undefined where browsers give none, as on http:// addresses, and where other pages could make theirs of it. */
const container = shared ? undefined : (navigator as { readonly serviceWorker?: ServiceWorkerContainer }).serviceWorker;
let isDropped = false;

/** A copy that came to nothing is tried again after so long, four times that and so on: its host was gone, or between two versions. */
const firstAgain = 10_000;
const lastAgain = 60 * 60_000;

const scope = new URL("./", location.href).href;
const ours = `comntr ${scope} `;

/** The copies of this page, by versions, oldest first; see sw.ts. */
async function copies(): Promise<string[]> {
  return (await caches.keys()).filter((name) => name.startsWith(ours));
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
  // The index is the last of what is kept of a version.
  const isKept = async (): Promise<boolean> => (await caches.match(scope, { cacheName: ours + folder })) !== undefined;
  for (let wait = firstAgain; !isDropped; wait = Math.min(4 * wait, lastAgain)) {
    // Where there is a worker already this looks for no other one.
    if (navigator.onLine) await container.register(workerURL("../sw")).then(async () => (await isKept()) || renewCopy()).catch(() => undefined);
    if (await isKept()) return;
    await new Promise((resolve) => {
      setTimeout(resolve, about(wait));
      addEventListener("online", resolve, { once: true });
    });
  }
}

/** Looks for another version, and waits until all of it is here, or it came to nothing. */
export async function renewCopy(): Promise<void> {
  const registration = await container?.getRegistration();
  const worker = registration?.installing ?? (await registration?.update())?.installing;
  await new Promise<void>((resolve) => {
    // A worker that failed may be told of as installing for a moment, and then no change comes any more.
    const look = (): void => void (worker?.state === "installing" || resolve());
    worker?.addEventListener("statechange", look);
    look();
  });
}

/** Drops it, until the next visit. */
export async function dropCopy(): Promise<void> {
  isDropped = true;
  await (await container?.getRegistration())?.unregister();
  if (container !== undefined) for (const name of await copies()) await caches.delete(name);
}
