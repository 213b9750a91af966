// Deleting: what is said to go does go, or is said to stay.

import { expect, test, vi } from "vitest";
import { toHex } from "../src/protocol/bytes.ts";
import { type Hash, hashOfName } from "../src/protocol/hash.ts";
import { publicKey } from "../src/protocol/signature.ts";
import { signal } from "../src/state/signals.ts";
import type { Topic } from "../src/state/topic.ts";
import type { Row } from "../src/workers/messages.ts";

const seed = new Uint8Array(32).fill(1);
const me = { key: toHex(publicKey(seed)), kept: { seed, name: "", made: 0, saved: true } };
const postLater = vi.fn(async () => undefined);
const sign = vi.fn(async () => ({ id: hashOfName("delete"), bytes: new Uint8Array(1) }));
vi.mock("../src/state/outbox.ts", () => ({ outbox: signal([]), maxFreeWork: 24, post: vi.fn(), takeBack: vi.fn(), postLater, sign }));
vi.mock("../src/state/choices.ts", () => ({ setActive: vi.fn() }));
vi.mock("../src/state/me.ts", () => ({ activeKey: signal(""), me: signal(me), people: signal([me]) }));
vi.mock("../src/state/full.ts", () => ({ sayFull: vi.fn() }));
vi.mock("../src/state/page.ts", () => ({ keeping: new Promise(() => undefined), servers: signal([]) }));
const { remove } = await import("../src/state/write.ts");

const row = { id: hashOfName("comment"), key: me.key } as Row;
const opened = (): Topic => ({ place: { community: hashOfName("reddit"), topic: hashOfName("/r/news") }, name: signal(""), facts: signal({ name: "" }), going: signal<ReadonlyMap<Hash, number>>(new Map()) }) as unknown as Topic;

test("a comment goes once its delete waits", async () => {
  const topic = opened();
  await remove(topic, row, () => undefined);
  expect([...topic.going.value.keys()]).toEqual([row.id]);
});

test.each([
  ["cannot wait, as too much does", () => postLater.mockRejectedValueOnce(new Error("500 posts wait already"))],
  ["cannot be paid for", () => sign.mockRejectedValueOnce(new Error("a worker failed"))],
])("one whose delete %s is not said to go", async (_, fail) => {
  fail();
  const topic = opened();
  await expect(remove(topic, row, () => undefined)).rejects.toThrow();
  expect(topic.going.value.size).toBe(0);
});
