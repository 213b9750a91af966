// The worker for Markdown: what is shown where it takes too long, or does not come at all.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { comeMillis as Come, knownTree as Known, markdownMillis as Millis, maxTrees as Most, treeOf as Of } from "../src/workers/pool.ts";
import type { MarkdownAnswer, MarkdownQuestion } from "../src/workers/markdown.ts";

class Fake {
  static all: Fake[] = [];
  static comes: (worker: Fake) => void;
  onmessage: ((event: { data: MarkdownAnswer | "ready" }) => void) | null = null;
  onerror: (() => void) | null = null;
  isEnded = false;
  constructor() {
    Fake.all.push(this);
    // A browser would go on for ever.
    if (Fake.all.length < 20) setTimeout(() => this.isEnded || Fake.comes(this), 1);
  }
  postMessage(questions: readonly MarkdownQuestion[]): void {
    for (const { n, text } of questions) {
      if (text.includes("slow")) return;
      setTimeout(() => this.isEnded || this.onmessage?.({ data: { n, tree: [] } }));
    }
  }
  terminate(): void {
    this.isEnded = true;
  }
}

let treeOf: typeof Of;
let knownTree: typeof Known;
let [comeMillis, markdownMillis, maxTrees]: (typeof Come | typeof Millis | typeof Most)[] = [];
beforeEach(async () => {
  vi.resetModules();
  vi.useFakeTimers();
  vi.stubGlobal("Worker", Fake);
  Fake.all = [];
  Fake.comes = (worker) => worker.onmessage?.({ data: "ready" });
  ({ treeOf, knownTree, comeMillis, markdownMillis, maxTrees } = await import("../src/workers/pool.ts"));
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
