// The page's workers: how they are made, and how Markdown that takes too long is given up.

import { signal } from "../state/signals.ts";
import type { FromThread, ToThread } from "./messages.ts";
import type { MarkdownAnswer } from "./markdown.ts";
import { toPlainTree, type Tree } from "./trees.ts";

interface Policy {
  createScriptURL(url: string): unknown;
}
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): Policy;
}

// The one policy of the page: scripts that lie beside this one, by their names, the service worker, and nothing else.
const policy = (globalThis as { trustedTypes?: Policies }).trustedTypes?.createPolicy("comntr", {
  createScriptURL(url) {
    if (!/^([a-z]+|\.\.\/sw)\.js$/.test(url)) throw new TypeError(`no script of this page: ${url}`);
    return new URL(url, import.meta.url).href;
  },
});

/** The address of a worker of this page, by its file's name. */
export function workerURL(name: string): URL {
  return (policy === undefined ? new URL(`${name}.js`, import.meta.url) : policy.createScriptURL(`${name}.js`)) as URL;
}

export function startWorker(name: string): Worker {
  return new Worker(workerURL(name === "thread" ? "main" : name), { type: "module", name });
}

/** A worker may take so long to come. */
export const comeMillis = 10_000;

let thread: Worker | undefined;
let come: ReturnType<typeof setTimeout> | undefined;
const listeners = new Map<number, (message: FromThread) => void>();
/** The worker that reads topics could not be started, failed, or has not come. */
export const isBroken = signal(false);
/** How often the reader had it started anew: what the one before was asked is to be asked again. */
export const restarts = signal(0);
const fail = (): undefined => void (isBroken.value = true);

/** The worker that reads topics, which the page starts before it asks: its code comes while servers are looked for. */
export function threadWorker(): Worker | undefined {
  if (thread !== undefined) return thread;
  let worker: Worker;
  try {
    worker = thread = startWorker("thread");
  } catch {
    return fail();
  }
  come = setTimeout(fail, comeMillis);
  worker.onerror = fail;
  worker.onmessage = ({ data }: MessageEvent<FromThread>) => {
    clearTimeout(come);
    isBroken.value = false;
    if (data.kind === "full") void import("../state/full.ts").then(({ sayFull }) => sayFull()).catch(() => undefined);
    else if (data.kind === "wanted") void import("./helpers.ts").then(({ addHelpers }) => addHelpers(worker)).catch(() => undefined);
    else if (data.kind !== "ready") listeners.get(data.session)?.(data);
  };
  return worker;
}

/** Starts another worker in its place. */
export function restart(): void {
  clearTimeout(come);
  thread?.terminate();
  thread = undefined;
  isBroken.value = false;
  restarts.value++;
}

let sessions = 0;

/** Opens a channel to the worker that reads topics. */
export function openChannel(listener: (message: FromThread) => void): {
  readonly session: number;
  send(message: ToThread, transfer?: Transferable[]): void;
  close(): void;
} {
  const session = ++sessions;
  listeners.set(session, listener);
  return {
    session,
    send: (message, transfer = []) => threadWorker()?.postMessage(message, transfer),
    close: () => listeners.delete(session),
  };
}

/** A text's lexing may take so long. */
export const markdownMillis = 100;
/** Texts sent at once. */
const maxSent = 64;
/** Characters of texts whose trees are remembered, for what is drawn again, and as how many each text counts besides. */
export const maxTrees = 4e6;
const perTree = 1000;

interface Job {
  readonly text: string;
  readonly done: (tree: readonly Tree[] | undefined) => void;
}

let markdown: Worker | undefined;
let ready = false;
let questions = 0;
const waiting: Job[] = [];
const sent = new Map<number, Job>();
let timer: ReturnType<typeof setTimeout> | undefined;
const trees = new Map<string, readonly Tree[] | undefined>();
let room = maxTrees;

/** The tree of a text, at once if it is known or simple; undefined is text that is shown as it is. */
export function knownTree(text: string): { readonly tree: readonly Tree[] | undefined } | undefined {
  if (trees.has(text)) return { tree: trees.get(text) };
  const tree = toPlainTree(text);
  return tree === undefined ? undefined : { tree };
}

/** The tree of a text. It takes 100 ms at most once it is the text's turn. */
export function treeOf(text: string): Promise<readonly Tree[] | undefined> {
  return new Promise((resolve) => {
    waiting.push({
      text,
      done: (tree) => {
        if ((room -= text.length + perTree) < 0) {
          trees.clear();
          room = maxTrees;
        }
        trees.set(text, tree);
        resolve(tree);
      },
    });
    sendMore();
  });
}

/** Starts the worker before there is a text for it: the first comments wait for it, if they have Markdown. */
export function warmMarkdown(): void {
  if (markdown === undefined) sendMore();
}

function sendMore(): void {
  if (markdown === undefined) {
    const worker = startWorker("markdown");
    markdown = worker;
    worker.onmessage = ({ data }: MessageEvent<MarkdownAnswer | "ready">) => {
      if (data === "ready") ready = true;
      else {
        sent.get(data.n)?.done(data.tree);
        sent.delete(data.n);
      }
      sendMore();
    };
    worker.onerror = () => giveUp();
    timer = setTimeout(giveUp, comeMillis);
  }
  if (!ready) return;
  if (sent.size === 0 && waiting.length > 0) {
    const jobs = waiting.splice(0, maxSent).map((job) => ({ n: ++questions, job }));
    for (const { n, job } of jobs) sent.set(n, job);
    markdown.postMessage(jobs.map(({ n, job }) => ({ n, text: job.text })));
  }
  clearTimeout(timer);
  // Answers that are here already are read before the second timer: this thread may have been what took so long.
  if (sent.size > 0) timer = setTimeout(() => (timer = setTimeout(giveUp, 0)), markdownMillis);
}

/** The first text that was not answered took too long. A worker cannot be interrupted, only ended. */
function giveUp(): void {
  clearTimeout(timer);
  markdown?.terminate();
  markdown = undefined;
  // One that did not come, as from a host that is gone or has another version by now, would not come at once if asked again.
  if (!ready) for (const { done } of waiting.splice(0)) done(undefined);
  ready = false;
  const [guilty, ...others] = [...sent.values()];
  sent.clear();
  waiting.unshift(...others);
  guilty?.done(undefined);
  if (waiting.length > 0) sendMore();
}
