// Reading in rounds: no connection is kept between them, and what is here is not fetched again.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { TopicSink } from "../src/net/net.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";

const reads: { held: ReadonlySet<Hash>; sink: TopicSink; folder: string | undefined; closed: boolean }[] = [];
const net = {
  read(_place: Place, held: ReadonlySet<Hash>, sink: TopicSink, folder?: string) {
    const one = { held, sink, folder, closed: false };
    reads.push(one);
    return { close: () => (one.closed = true), retry: () => undefined };
  },
};
vi.mock("../src/state/page.ts", () => ({ startNet: async () => net, keeping: new Promise(() => undefined), configured: new Promise(() => undefined) }));
const { listMillis, readAgain, readOnce } = await import("../src/state/rounds.ts");

const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const id = hashOfName("a comment");

beforeEach(() => {
  reads.length = 0;
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());
const turn = (millis = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(millis);

test("a round ends when all is here, and the next one asks for what is new", async () => {
  const took = vi.fn();
  const done = vi.fn();
  const stop = readAgain(place, took, done);
  await turn();
  reads[0]?.sink.state("reading");
  reads[0]?.sink.files([{ id, bytes: new Uint8Array(1) }], "a");
  reads[0]?.sink.folder("Qm", []);
  await turn();
  expect([reads[0]?.closed, done.mock.calls.length]).toEqual([false, 0]);
  reads[0]?.sink.state("live");
  await turn();
  expect([reads[0]?.closed, done.mock.calls.length, took.mock.calls.length]).toEqual([true, 1, 1]);
  await turn(listMillis - 1);
  expect(reads.length).toBe(1);
  await turn(1);
  expect(reads[1]).toMatchObject({ held: new Set([id]), folder: "Qm", closed: false });
  stop();
  expect(reads[1]?.closed).toBe(true);
  reads[1]?.sink.state("live");
  await turn(3 * listMillis);
  expect([reads.length, done.mock.calls.length]).toEqual([2, 1]);
});

test("one that is stopped between two rounds, or before the network is here, reads no more", async () => {
  const stop = readAgain(place, () => undefined);
  await turn();
  reads[0]?.sink.state("empty");
  await turn();
  stop();
  readOnce(place, { held: new Set() }, () => undefined, () => undefined)();
  await turn(3 * listMillis);
  expect(reads.length).toBe(1);
});
