import { describe, expect, test } from "vitest";
import { type Filter, type FilterSummary, readFilter, summarize } from "../src/protocol/filter.ts";
import { listTopic } from "../src/protocol/kinds.ts";
import { type Order, score } from "../src/protocol/sort.ts";
import { fold, type Thread } from "../src/protocol/thread.ts";
import { documentOf, place, readVectors } from "./vectors.ts";

interface FoldCase {
  readonly name: string;
  readonly why: string;
  readonly order: Order;
  readonly documents: string[];
  readonly filters?: { list: string; documents: string[] }[];
  readonly outline: string[];
  readonly thread: Thread;
}

const folds = readVectors<{ topic: string; now: string; cases: FoldCase[]; wilson: { up: number; down: number; low: number; float: string }[] }>(
  "folds.json",
);
const filters = readVectors<{
  list: string;
  now: string;
  lists: { key: string; tag: string; topic: string }[];
  cases: { name: string; why: string; documents: string[]; filter: FilterSummary }[];
}>("filters.json");

function bits(float: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, float);
  return view.getBigUint64(0).toString(16).padStart(16, "0");
}

describe("folds.json", () => {
  const now = Date.parse(folds.now);

  test.each(folds.cases)("$name: $why", (wanted) => {
    const documents = wanted.documents.map((text) => documentOf(text, folds.topic));
    const chosen: Filter[] = (wanted.filters ?? []).map(({ list, documents: texts }) =>
      readFilter(place(list), texts.map((text) => documentOf(text, folds.topic)), now),
    );
    expect(fold(place(folds.topic), documents, chosen, now, wanted.order)).toEqual(wanted.thread);
    // The order of the documents does not matter, nor one that stands twice.
    const others = [...documents].reverse().concat(documents);
    expect(fold(place(folds.topic), others, chosen, now, wanted.order)).toEqual(wanted.thread);
  });

  test.each(folds.wilson)("score of $up up, $down down", ({ up, down, low, float }) => {
    expect(score(up, down)).toBe(low);
    expect(bits(score(up, down))).toBe(float);
  });
});

describe("filters.json", () => {
  const now = Date.parse(filters.now);

  test.each(filters.lists)("list of $key and $tag", ({ key, tag, topic }) => {
    expect(listTopic(key, tag)).toBe(topic);
  });

  test.each(filters.cases)("$name: $why", ({ documents, filter }) => {
    const parsed = documents.map((text) => documentOf(text, filters.list));
    expect(summarize(readFilter(place(filters.list), parsed, now))).toEqual(filter);
    expect(summarize(readFilter(place(filters.list), parsed.reverse(), now))).toEqual(filter);
  });
});
