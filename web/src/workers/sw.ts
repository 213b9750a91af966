// The service worker: with it the page itself opens without a network. It answers for the page's own files and for
// nothing else (own.ts), and lies beside index.html, so that its name stays and each version of it names one version of
// the page. That is fetched whole before any of it counts. What the host says goes first: another index is another page,
// and where this file is gone the worker goes, too.

import { ownFile } from "./own.ts";

interface Extendable extends Event {
  waitUntil(done: Promise<unknown>): void;
}
interface Asked extends Extendable {
  readonly request: Request;
  readonly preloadResponse: Promise<Response | undefined>;
  respondWith(answer: Promise<Response>): void;
}
interface Scope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: Extendable) => void): void;
  addEventListener(type: "fetch", listener: (event: Asked) => void): void;
}
const worker = globalThis as unknown as Scope;

/** The folder of this version and what is in it, by build.js. */
declare const folder: string;
declare const files: readonly string[];
/** Files that few need: languages, what is large. */
declare const seldom: readonly string[];

/** The host is waited for so long, where there is a copy. */
const patienceMillis = 2000;
// The next version waits until this one has nothing to do, so all that it does ends.
/** Whether this file is still there. */
const lookMillis = 10_000;
/** A file, which may be large and come slowly; all of a version. */
const fileMillis = 120_000;

const { scope } = worker.registration;
// Pages below other paths of one host share its caches.
const ours = `comntr ${scope} `;
const cacheName = ours + folder;
const html = { headers: { Accept: "text/html" }, cache: "no-cache" } as const;

async function install(): Promise<void> {
  // Who has the index has all. Where the browser ended this in the middle there is a rest, which is no version.
  const isNew = !(await kept(scope, cacheName));
  if (isNew) await caches.delete(cacheName);
  const limit = { signal: AbortSignal.timeout(fileMillis) };
  try {
    const cache = await caches.open(cacheName);
    // Some hosts have no index for a folder.
    let index = await fetch(scope, { ...html, ...limit });
    if (!index.ok) index = await fetch("index.html", { ...html, ...limit });
    // The host is between two versions: that is tried again, by copy.ts.
    if (!(await index.clone().text()).includes(`"${folder}/`)) throw new Error("the index is of another version");
    await cache.addAll(["config.json", ...files.map((name) => `${folder}/${name}`)].map((name) => new Request(name, limit)));
    // Of the others those that are in use: the version before has them, or this page has just loaded them.
    const others = await versions();
    for (const name of seldom) {
      const url = `${folder}/${name}`;
      const before = await Promise.all(others.map((other) => kept(`${other.slice(ours.length)}/${name}`, other)));
      const answer = await fetch(url, before.some(Boolean) ? limit : { cache: "only-if-cached", mode: "same-origin" }).catch(() => undefined);
      if (answer?.ok) await cache.put(url, answer);
    }
    // Its address stays as it was asked for: a redirection would be refused. The last of all, so that who has it has all.
    await cache.put(scope, new Response(index.body, { headers: index.headers }));
  } catch (error) {
    // A part of a version is none.
    if (isNew) await caches.delete(cacheName);
    throw error;
  }
  await worker.skipWaiting();
}

/** What a version has. To open one that was dropped would make it anew, as the newest. */
const kept = (request: Request | string, version: string): Promise<Response | undefined> => caches.match(request, { cacheName: version, ignoreVary: true });

const versions = async (): Promise<string[]> => (await caches.keys()).filter((name) => name.startsWith(ours));

async function activate(): Promise<void> {
  // Of those made before this one the last that is whole is kept: other tabs may still show it.
  const all = await versions();
  let last: Response | undefined;
  for (const name of all.slice(0, all.indexOf(cacheName)).reverse()) {
    if (last || !(last = await kept(scope, name))) await caches.delete(name);
  }
  await worker.registration.navigationPreload?.enable();
  await worker.clients.claim();
}

/** Browsers keep a worker whose file is gone from its host, so it looks for itself. */
async function endIfGone(): Promise<void> {
  const { status } = await fetch("sw.js", { cache: "no-cache", signal: AbortSignal.timeout(lookMillis) });
  if (status !== 404 && status !== 410) return;
  await worker.registration.unregister();
  for (const name of await versions()) await caches.delete(name);
}

/** Keeps an answer, which the page does not wait for; not once this version was dropped. */
function keep(event: Asked, name: Request | string, answer: Response): void {
  const copy = answer.clone();
  const put = async (): Promise<void> => {
    if (await caches.has(cacheName)) await (await caches.open(cacheName)).put(name, copy);
  };
  // There may be no room.
  event.waitUntil(put().catch(() => undefined));
}

/** From the host if all of it is here in time, else the copy; without one, whatever comes. */
async function freshest(event: Asked, copyOf: string): Promise<Response> {
  const asked = event.preloadResponse.then((early) => early ?? fetch(event.request));
  const copy = await kept(copyOf, cacheName);
  if (copy === undefined) return asked;
  const late = new Promise<Response>((resolve) => setTimeout(resolve, patienceMillis, copy));
  const whole = async (answer: Response): Promise<Response> => {
    // What fails within the host is no word of it.
    if (answer.status >= 500) return copy;
    await answer.clone().arrayBuffer();
    return answer;
  };
  return Promise.race([asked.then(whole).catch(() => copy), late]);
}

async function config(event: Asked): Promise<Response> {
  const answer = await freshest(event, "config.json");
  if (answer.ok) keep(event, "config.json", answer);
  return answer;
}

async function script(event: Asked): Promise<Response> {
  const { request } = event;
  const known = await caches.match(request, { ignoreVary: true });
  if (known !== undefined) return known;
  const answer = await fetch(request, { signal: AbortSignal.timeout(fileMillis) });
  // Large parts, which few need, are kept once they are used.
  if (answer.ok && request.url.startsWith(`${scope}${folder}/`)) keep(event, request, answer);
  return answer;
}

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("fetch", (event) => {
  const own = ownFile(scope, event.request);
  if (own === "index") {
    event.respondWith(freshest(event, scope));
    event.waitUntil(endIfGone().catch(() => undefined));
  } else if (own === "config") event.respondWith(config(event));
  else if (own === "script") event.respondWith(script(event));
});
