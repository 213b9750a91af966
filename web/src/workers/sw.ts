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
/** Versions that are kept: this one, and the one that other tabs may still show. */
const maxVersions = 2;

const { scope } = worker.registration;
// Pages below other paths of one host share its caches.
const ours = `comntr ${scope} `;
const cacheName = ours + folder;
const html = { headers: { Accept: "text/html" }, cache: "no-cache" } as const;

async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  // Some hosts have no index for a folder.
  let index = await fetch(scope, html);
  if (!index.ok) index = await fetch("index.html", html);
  // The host is between two versions: that is tried again.
  if (!(await index.clone().text()).includes(`"${folder}/`)) throw new Error("the index is of another version");
  await cache.addAll(["config.json", ...files.map((name) => `${folder}/${name}`)]);
  // Of the others those that are in use: the version before has them, or this page has just loaded them.
  const before = await Promise.all((await versions()).map(async (name) => (await caches.open(name)).keys()));
  const used = before.flat().map(({ url }) => url.split("/").at(-1));
  for (const name of seldom) {
    const url = `${folder}/${name}`;
    const answer = await fetch(url, used.includes(name) ? {} : { cache: "only-if-cached", mode: "same-origin" }).catch(() => undefined);
    if (answer?.ok) await cache.put(url, answer);
  }
  // Its address stays as it was asked for: a redirection would be refused. The last of all, so that who has it has all.
  await cache.put(scope, new Response(index.body, { headers: index.headers }));
  await worker.skipWaiting();
}

async function drop(names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => caches.delete(name)));
}

const versions = async (): Promise<string[]> => (await caches.keys()).filter((name) => name.startsWith(ours));

async function activate(): Promise<void> {
  // In the order in which they were made; one that was not finished is not of use to anybody.
  const others = (await versions()).filter((name) => name !== cacheName);
  await drop(others.slice(0, others.length + 1 - maxVersions));
  await worker.registration.navigationPreload?.enable();
  await worker.clients.claim();
}

/** Browsers keep a worker whose file is gone from its host, so it looks for itself. */
async function endIfGone(): Promise<void> {
  const { status } = await fetch("sw.js", { cache: "no-cache" });
  if (status !== 404 && status !== 410) return;
  await worker.registration.unregister();
  await drop(await versions());
}

/** From the host if that answers in time, else the copy; without one, whatever comes. */
async function freshest(event: Asked, copyOf: string): Promise<Response> {
  const asked = event.preloadResponse.then((early) => early ?? fetch(event.request));
  const copy = await (await caches.open(cacheName)).match(copyOf, { ignoreVary: true });
  if (copy === undefined) return asked;
  const late = new Promise<Response>((resolve) => setTimeout(resolve, patienceMillis, copy));
  // What fails within the host is no word of it.
  return Promise.race([asked.then((answer) => (answer.status < 500 ? answer : copy), () => copy), late]);
}

async function config(event: Asked): Promise<Response> {
  const answer = await freshest(event, "config.json");
  if (answer.ok) await (await caches.open(cacheName)).put("config.json", answer.clone());
  return answer;
}

async function script({ request }: Asked): Promise<Response> {
  const known = await caches.match(request, { ignoreVary: true });
  if (known !== undefined) return known;
  const answer = await fetch(request);
  // Large parts, which few need, are kept once they are used.
  if (answer.ok && request.url.startsWith(`${scope}${folder}/`)) await (await caches.open(cacheName)).put(request, answer.clone());
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
