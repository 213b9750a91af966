// The service worker's copies: only what came whole counts, whatever cut an install off.

import { beforeEach, expect, test, vi } from "vitest";

const scope = "https://comments.test/";
const nameOf = (version: string): string => `comntr ${scope} ${version}`;

/** Caches as browsers have them, in the order in which they were made. */
const stored = new Map<string, Map<string, Response>>();
const urlOf = (asked: Request | string): string => (typeof asked === "string" ? new URL(asked, scope).href : asked.url);
const cacheOf = (files: Map<string, Response>) => ({
  put: async (asked: Request | string, answer: Response) => void files.set(urlOf(asked), answer),
  // All of them or none.
  async addAll(requests: readonly Request[]) {
    const answers = await Promise.all(requests.map((request) => fetch(request)));
    if (answers.some(({ ok }) => !ok)) throw new TypeError("not all are there");
    requests.forEach(({ url }, i) => files.set(url, answers[i] as Response));
  },
});
const caches = {
  keys: async () => [...stored.keys()],
  has: async (name: string) => stored.has(name),
  delete: async (name: string) => stored.delete(name),
  async open(name: string) {
    const files = stored.get(name) ?? new Map<string, Response>();
    stored.set(name, files);
    return cacheOf(files);
  },
  match: async (asked: Request | string, { cacheName }: { cacheName?: string } = {}) =>
    [...stored].flatMap(([name, files]) => (cacheName === undefined || name === cacheName ? (files.get(urlOf(asked))?.clone() ?? []) : []))[0],
};

/** What the host answers now: its version whole, nothing, or nothing but the first few for ever. */
let host: { readonly version: string; readonly way: "whole" | "fails" | "hangs" };
async function answer(asked: Request | string): Promise<Response> {
  const path = urlOf(asked).slice(scope.length);
  if (path === "") return new Response(`<script src="${host.version}/main.js"></script>`);
  if (path.endsWith("later.js")) {
    if (host.way === "fails") return new Response("", { status: 404 });
    if (host.way === "hangs") return new Promise(() => undefined);
  }
  return new Response(path);
}

/** Starts a version's worker, as a browser does after it was ended, too. */
async function start(version: string): Promise<(event: "install" | "activate") => Promise<unknown>> {
  vi.resetModules();
  const listeners = new Map<string, (event: { waitUntil(done: Promise<unknown>): void }) => void>();
  vi.stubGlobal("folder", version);
  vi.stubGlobal("addEventListener", (event: string, listener: () => void) => listeners.set(event, listener));
  await import("../src/workers/sw.ts");
  return (event) => {
    let done: Promise<unknown> = Promise.resolve();
    listeners.get(event)?.({ waitUntil: (each) => void (done = each) });
    return done;
  };
}

async function install(version: string): Promise<void> {
  host = { version, way: "whole" };
  const run = await start(version);
  await run("install");
  await run("activate");
}

/** The browser ends the worker in the middle. */
async function cutOff(version: string): Promise<void> {
  host = { version, way: "hangs" };
  void (await start(version))("install");
  await vi.waitFor(() => expect([...stored.keys()]).toContain(nameOf(version)));
  await new Promise((resolve) => setTimeout(resolve));
}

beforeEach(() => {
  stored.clear();
  vi.stubGlobal("Request", class extends Request {
    constructor(asked: string, init: RequestInit) {
      super(new URL(asked, scope), init);
    }
  });
  for (const [name, value] of Object.entries({
    caches, fetch: vi.fn(answer), registration: { scope }, clients: { claim: async () => undefined }, skipWaiting: async () => undefined,
    files: ["main.js", "later.js"], seldom: ["de.js"],
  })) vi.stubGlobal(name, value);
  return () => vi.unstubAllGlobals();
});

test("a version that came whole is kept, and so is the one before it", async () => {
  for (const version of ["a", "b", "c"]) await install(version);
  expect([...stored.keys()]).toEqual(["b", "c"].map(nameOf));
  expect([...(stored.get(nameOf("c"))?.keys() ?? [])].sort()).toEqual(["", "c/de.js", "c/later.js", "c/main.js", "config.json"].map((path) => scope + path));
});

test("an install that fails leaves nothing, and what is in force as it was", async () => {
  await install("a");
  host = { version: "b", way: "fails" };
  await expect((await start("b"))("install")).rejects.toThrow(TypeError);
  expect([...stored.keys()]).toEqual([nameOf("a")]);
  // Of a version that is in force nothing is taken either.
  const before = stored.get(nameOf("a"))?.size;
  host = { version: "a", way: "fails" };
  await expect((await start("a"))("install")).rejects.toThrow(TypeError);
  expect(stored.get(nameOf("a"))?.size).toBe(before);
});

test("nor does one that fails after it was cut off before", async () => {
  await install("a");
  await cutOff("b");
  host = { version: "b", way: "fails" };
  await expect((await start("b"))("install")).rejects.toThrow(TypeError);
  expect([...stored.keys()]).toEqual([nameOf("a")]);
});

test("what was cut off takes no whole version's place", async () => {
  await install("a");
  await cutOff("b");
  await install("c");
  expect([...stored.keys()]).toEqual(["a", "c"].map(nameOf));
});

test("what was cut off and came whole later is the newest", async () => {
  await install("a");
  await cutOff("c");
  await install("b");
  await install("c");
  expect([...stored.keys()]).toEqual(["b", "c"].map(nameOf));
});

test("an install that is under way is let be by the version before it", async () => {
  host = { version: "a", way: "whole" };
  const run = await start("a");
  await run("install");
  await cutOff("b");
  await run("activate");
  expect([...stored.keys()]).toEqual(["a", "b"].map(nameOf));
});
