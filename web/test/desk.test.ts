// The desk: what is new of many topics, in order and within bounds, and what was seen.

import { beforeEach, expect, test, vi } from "vitest";
import { memoryKeep } from "../src/keep/keep.ts";
import { changeTopic } from "../src/keep/topics.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";
import type { FromThread, Row } from "../src/workers/messages.ts";
import { maxSourceFiles } from "../src/workers/session.ts";

let keep = memoryKeep();
vi.mock("../src/state/page.ts", () => ({ get keeping() { return Promise.resolve(keep); } }));

/** A session of the worker, and a reading of the network, as the test has them. */
interface Opened {
  readonly place: Place;
  readonly tell: (message: FromThread) => void;
  readonly asked: string[];
  closed: boolean;
}
const opened: Opened[] = [];
const readings: { place: Place; held: number; take: (files: unknown[], server: string) => void; done: () => void; stopped: boolean }[] = [];
vi.mock("../src/state/rounds.ts", () => ({
  openQuiet(place: Place, _how: unknown, listener: (message: FromThread) => void) {
    const one: Opened = { place, tell: listener, asked: [], closed: false };
    opened.push(one);
    // The worker answers later.
    queueMicrotask(() => listener({ kind: "held", session: 1, ids: [], folder: "" }));
    return { ask: (kind: string) => one.asked.push(kind), take: () => () => undefined, close: () => (one.closed = true) };
  },
  readOnce(place: Place, known: { held: Set<Hash> }, take: () => void, done: () => void) {
    const one = { place, held: known.held.size, take, done, stopped: false };
    readings.push(one);
    return () => void (one.stopped = true);
  },
}));

const { deskAtOnce, maxDeskBytes, maxDeskRows, maxDeskTopics, maxSeen, newest, openDesk } = await import("../src/state/desk.ts");

const community = hashOfName("reddit");
const topicOf = (n: number): Place => ({ community, topic: hashOfName(`topic ${n}`) });
const row = (text: string, date?: string, more: Partial<Row> = {}): Row => {
  const id = hashOfName(text);
  return { id, shown: id, depth: 0, body: text, up: 0, down: 0, replies: 0, ...(date === undefined ? {} : { date }), ...more };
};
const day = (n: number): string => `2026-11-${String(n).padStart(2, "0")}T10:00:00Z`;
const noFacts = { name: "", total: 0, pending: 0, hiddenBy: [], locked: false, unverified: 0, fresh: 0, replies: [] };

/** What the worker says of a topic. */
function draws(place: Place, rows: readonly Row[], pending = 0): void {
  const one = opened.filter((each) => each.place.topic === place.topic).at(-1) as Opened;
  one.tell({ kind: "thread", session: 1, facts: { ...noFacts, pending }, order: ["a"] });
  one.tell({ kind: "section", session: 1, section: { key: "a", rows } });
}

async function follow(n: number): Promise<void> {
  for (let i = 0; i < n; i++) await changeTopic(keep, topicOf(i), { followed: true, name: `topic ${i}`, visited: n - i });
}

beforeEach(() => {
  keep = memoryKeep();
  opened.length = readings.length = 0;
});

test("the newest comments come first, whatever their topic; what nobody dated before them", () => {
  const topics = [
    { place: topicOf(0), name: "a", before: new Set<string>(), rows: [row("one", day(1)), row("four", day(4)), row("undated")] },
    { place: topicOf(1), name: "b", before: new Set([hashOfName("seen").slice(0, 16)]), rows: [row("three", day(3)), row("seen", day(5)), row("mine", day(6), { mine: true }), row("gone", day(7), { deleted: true })] },
  ];
  expect(newest(topics).rows.map(({ topic, row: { body } }) => `${topic} ${body}`)).toEqual(["a undated", "a four", "b three", "a one"]);
  expect(newest(topics, 3)).toMatchObject({ older: 1 });
  const many = { place: topicOf(2), name: "", before: new Set<string>(), rows: Array.from({ length: maxDeskRows + 2 }, (_, i) => row(`n${i}`)) };
  expect(newest([many]).rows.length).toBe(maxDeskRows);
  expect(newest([many]).older).toBe(2);
});

test("so many topics are looked at, so many at once, and again a minute later", async () => {
  vi.useFakeTimers();
  await follow(maxDeskTopics + 2);
  await changeTopic(keep, topicOf(99), { followed: false, name: "not followed" });
  const desk = openDesk();
  await vi.advanceTimersByTimeAsync(0);
  expect(desk.facts.value).toMatchObject({ topics: maxDeskTopics, others: 2, busy: true });
  expect(opened.length).toBe(maxDeskTopics);
  expect(readings.length).toBe(deskAtOnce);
  for (let i = 0; i < maxDeskTopics; i++) {
    readings[i]?.done();
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(readings.length).toBe(maxDeskTopics);
  expect(desk.facts.value.busy).toBe(false);
  expect(opened.every(({ asked }) => asked.includes("live"))).toBe(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(readings.length).toBe(maxDeskTopics + deskAtOnce);
  // One that does not answer keeps the others no longer than that.
  await vi.advanceTimersByTimeAsync(20_000);
  expect(readings.length).toBe(maxDeskTopics + 2 * deskAtOnce);
  desk.close();
  expect(opened.every(({ closed }) => closed)).toBe(true);
  expect(readings.every(({ stopped }) => stopped)).toBe(true);
  vi.useRealTimers();
});

test("there is an end to the bytes", async () => {
  vi.useFakeTimers();
  await follow(8);
  const desk = openDesk();
  await vi.advanceTimersByTimeAsync(0);
  readings[0]?.take([{ bytes: { length: maxDeskBytes } }], "a");
  expect(desk.facts.value.cut).toBe(false);
  readings[1]?.take([{ bytes: { length: 1 } }], "a");
  expect(desk.facts.value.cut).toBe(true);
  for (const reading of [...readings]) reading.done();
  await vi.advanceTimersByTimeAsync(200_000);
  expect(readings.length).toBe(deskAtOnce);
  desk.close();
  vi.useRealTimers();
});

test("what was looked at is new no more at the next sitting; what waits is asked for", async () => {
  await follow(1);
  const first = openDesk();
  await vi.waitFor(() => expect(readings.length).toBe(1));
  draws(topicOf(0), [row("one", day(1)), row("two", day(2))], 1);
  expect(opened[0]?.asked).toContain("apply");
  await vi.waitFor(() => expect(first.rows.value.length).toBe(2));
  first.see(first.rows.value.slice(0, 1));
  first.see(first.rows.value.slice(0, 1));
  // It stays where it is meanwhile.
  expect(first.rows.value.length).toBe(2);
  expect(first.seen.value.size).toBe(1);
  first.close();

  const second = openDesk();
  await vi.waitFor(() => expect(readings.length).toBe(2));
  draws(topicOf(0), [row("one", day(1)), row("two", day(2))]);
  await vi.waitFor(() => expect(second.rows.value.map(({ row: { body } }) => body)).toEqual(["one"]));
  second.seeAll();
  second.close();

  const third = openDesk();
  await vi.waitFor(() => expect(readings.length).toBe(3));
  draws(topicOf(0), [row("one", day(1)), row("two", day(2)), row("three", day(1))]);
  await vi.waitFor(() => expect(third.rows.value.map(({ row: { body } }) => body)).toEqual(["three"]));
  third.close();
});

test("as many ids are remembered as the worker reads of a topic, the newest of them", async () => {
  expect(maxSeen).toBe(maxSourceFiles);
  await follow(1);
  const kept = vi.spyOn(keep, "put");
  const desk = openDesk();
  await vi.waitFor(() => expect(readings.length).toBe(1));
  draws(topicOf(0), Array.from({ length: maxSeen + 1 }, (_, i) => ({ ...row("x"), id: i.toString(16).padStart(40, "0").split("").reverse().join("") as Hash })));
  desk.seeAll();
  await vi.waitFor(() => expect(kept).toHaveBeenCalled());
  expect(String(kept.mock.lastCall?.[2]).length).toBe(16 * maxSeen);
  desk.close();
});
