// The page's workers: what is shown where one takes too long, or does not come at all.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { comeMillis as Come, knownTree as Known, markdownMillis as Millis, maxTrees as Most, treeOf as Of } from "../src/workers/pool.ts";
import type { FromThread } from "../src/workers/messages.ts";
import type { MarkdownAnswer, MarkdownQuestion } from "../src/workers/markdown.ts";

class Fake {
  static all: Fake[] = [];
  static comes: (worker: Fake) => void;
  onmessage: ((event: { data: MarkdownAnswer | "ready" | FromThread }) => void) | null = null;
  onerror: (() => void) | null = null;
  isEnded = false;
  constructor() {
    Fake.all.push(this);
    // A browser would go on for ever.
    if (Fake.all.length < 20) setTimeout(() => this.isEnded || Fake.comes(this), 1);
  }
  postMessage(questions: readonly MarkdownQuestion[] | object): void {
    if (!Array.isArray(questions)) return;
    for (const { n, text } of questions as MarkdownQuestion[]) {
      if (text.includes("slow")) return;
      setTimeout(() => this.isEnded || this.onmessage?.({ data: { n, tree: [] } }));
    }
  }
  terminate(): void {
    this.isEnded = true;
  }
}

let pool: typeof import("../src/workers/pool.ts");
let treeOf: typeof Of;
let knownTree: typeof Known;
let [comeMillis, markdownMillis, maxTrees]: (typeof Come | typeof Millis | typeof Most)[] = [];
beforeEach(async () => {
  vi.resetModules();
  vi.useFakeTimers();
  vi.stubGlobal("Worker", Fake);
  Fake.all = [];
  Fake.comes = (worker) => worker.onmessage?.({ data: "ready" });
  ({ treeOf, knownTree, comeMillis, markdownMillis, maxTrees } = pool = await import("../src/workers/pool.ts"));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("a text that takes too long is shown as it is, and those after it are not", async () => {
  const trees = Promise.all(["*a*", "*slow*", "*b*"].map(treeOf));
  await vi.advanceTimersByTimeAsync(2 * (markdownMillis as number));
  expect(await trees).toEqual([[], undefined, []]);
  expect(Fake.all.length).toBe(2);
});

test("where no worker comes texts are shown as they are, and it is tried again for the next ones alone", async () => {
  Fake.comes = (worker) => worker.onerror?.();
  const trees = Promise.all(["*a*", "*b*"].map(treeOf));
  await vi.advanceTimersByTimeAsync(1000);
  expect(Fake.all.length).toBe(1);
  expect(await trees).toEqual([undefined, undefined]);
  Fake.comes = (worker) => worker.onmessage?.({ data: "ready" });
  const later = treeOf("*c*");
  await vi.advanceTimersByTimeAsync(1000);
  expect(await later).toEqual([]);
  await vi.advanceTimersByTimeAsync(2 * (comeMillis as number));
  expect(Fake.all.map(({ isEnded }) => isEnded)).toEqual([true, false]);
});

test("nor is one waited for for ever", async () => {
  Fake.comes = () => undefined;
  let tree: unknown = "none";
  void treeOf("*a*").then((next) => (tree = next));
  await vi.advanceTimersByTimeAsync(comeMillis as number);
  expect(tree).toBeUndefined();
});

test("of texts so much is remembered, whoever wrote how long ones", async () => {
  const text = (n: number): string => `*${n}*${"x".repeat(65_000)}`;
  const all = Array.from({ length: 200 }, (_, n) => n);
  const trees = Promise.all(all.map((n) => treeOf(text(n))));
  await vi.advanceTimersByTimeAsync(1000);
  await trees;
  const known = all.filter((n) => knownTree(text(n)) !== undefined);
  expect(known).toContain(all.length - 1);
  expect(known.length * text(0).length).toBeLessThanOrEqual(maxTrees as number);
});

describe("the worker that reads topics", () => {
  const comes = (worker: Fake): void => worker.onmessage?.({ data: { kind: "ready" } });
  test.each<[string, (worker: Fake) => void]>([
    ["is not to be had", (worker) => worker.onerror?.()],
    ["never answers", () => undefined],
    ["may not be made", () => undefined],
  ])("where it %s that is said, and it is started anew when the reader wants it", async (why, fails) => {
    Fake.comes = fails;
    if (why === "may not be made") vi.stubGlobal("Worker", class { constructor() { throw new Error("forbidden"); } });
    pool.threadWorker();
    pool.openChannel(() => undefined).send({ kind: "close", session: 0 });
    // What fails is known at once, what is silent after a while.
    await vi.advanceTimersByTimeAsync(why === "never answers" ? (comeMillis as number) : 100);
    expect([pool.isBroken.value, pool.restarts.value]).toEqual([true, 0]);
    vi.stubGlobal("Worker", Fake);
    Fake.comes = comes;
    const [before] = Fake.all;
    pool.restart();
    expect([pool.isBroken.value, pool.restarts.value]).toEqual([false, 1]);
    const heard = vi.fn();
    const channel = pool.openChannel(heard);
    channel.send({ kind: "close", session: 0 });
    await vi.advanceTimersByTimeAsync(2 * (comeMillis as number));
    expect(pool.isBroken.value).toBe(false);
    expect([before?.isEnded ?? true, Fake.all.at(-1)?.isEnded]).toEqual([true, false]);
    const message = { kind: "markdown", session: channel.session } as const;
    Fake.all.at(-1)?.onmessage?.({ data: message });
    expect(heard).toHaveBeenCalledWith(message);
  });

  test("is no longer said to be missing once it comes", async () => {
    Fake.comes = () => undefined;
    pool.threadWorker();
    await vi.advanceTimersByTimeAsync(comeMillis as number);
    expect(pool.isBroken.value).toBe(true);
    comes(Fake.all[0] as Fake);
    expect(pool.isBroken.value).toBe(false);
  });

  test("says that it listens", async () => {
    const said = vi.fn();
    vi.stubGlobal("postMessage", said);
    vi.stubGlobal("onmessage", null);
    const { readTopics } = await import("../src/workers/thread.ts");
    readTopics();
    expect(said.mock.calls).toEqual([[{ kind: "ready" }]]);
    expect(globalThis.onmessage).not.toBeNull();
  });
});
