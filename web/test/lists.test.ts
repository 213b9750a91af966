// Which lists are read: those that are used and those of their delegates, and no others for long.

import { beforeEach, expect, test, vi } from "vitest";
import { hashOfName, type Place, placeText } from "../src/protocol/hash.ts";
import { signal } from "../src/state/signals.ts";
import type { FromThread } from "../src/workers/messages.ts";

/** What the worker says. */
let tell: (message: FromThread) => void;
const read = new Set<string>();
const session = 1;
const patience = { timeout: 10_000, interval: 5 };
vi.mock("../src/workers/pool.ts", () => ({
  openChannel: (listener: (message: FromThread) => void) => {
    tell = listener;
    return { session, send: () => undefined, close: () => undefined };
  },
}));
vi.mock("../src/state/rounds.ts", () => ({
  openQuiet: (_place: Place, _how: unknown, listener: (message: FromThread) => void) => {
    tell = listener;
    return { take: () => () => undefined, ask: () => undefined, close: () => undefined };
  },
  readAgain: (where: Place) => {
    read.add(placeText(where));
    return () => read.delete(placeText(where));
  },
}));
vi.mock("../src/state/page.ts", () => ({ keeping: new Promise(() => undefined), net: signal({ read: () => ({ close: () => undefined, retry: () => undefined }) }), startNet: async () => undefined, firstServer: async () => undefined }));
vi.mock("../src/state/me.ts", () => ({ lists: signal([{ place: list }]), muted: signal([]), order: signal("best"), people: signal([]) }));

const place = (name: string): Place => ({ community: hashOfName("reddit"), topic: hashOfName(name) });
const list = place("mods");
const { openList } = await import("../src/state/lists.ts");
const { openTopic } = await import("../src/state/topic.ts");
beforeEach(() => read.clear());

test.each([
  ["whoever reads a topic", () => openTopic(place("/r/news"), "/r/news")],
  ["whoever looks at one", () => openList(list)],
])("%s reads lists of delegates as long as they are some", async (_, open) => {
  const opened = open();
  tell({ kind: "held", session, ids: [], folder: "" });
  await vi.waitFor(() => expect([...read]).toEqual([placeText(list)]), patience);
  for (let round = 0; round < 5; round++) {
    const delegates = [place("one that stays"), ...(round > 0 ? [place(`delegate ${round}`)] : [])];
    tell({ kind: "delegates", session, places: delegates });
    await vi.waitFor(() => expect([...read].sort()).toEqual([list, ...delegates].map(placeText).sort()), patience);
  }
  opened.close();
  expect(read.size).toBe(0);
});
