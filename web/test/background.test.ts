// Replies in topics that are followed and not open: of whom the reader is told.

import { beforeEach, expect, test, vi } from "vitest";
import { memoryKeep } from "../src/keep/keep.ts";
import { changeTopic, keptTopic } from "../src/keep/topics.ts";
import { unpackFiles } from "../src/keep/pack.ts";
import type { TopicSink } from "../src/net/net.ts";
import { type Draft, signDraft } from "../src/protocol/build.ts";
import { toHex } from "../src/protocol/bytes.ts";
import { type Document, isRefusal } from "../src/protocol/document.ts";
import { hashOfName, type Place, placeText } from "../src/protocol/hash.ts";
import { listTopic } from "../src/protocol/kinds.ts";
import { publicKey, verify } from "../src/protocol/signature.ts";
import { signal } from "../src/state/signals.ts";
import type { FromThread, ToThread } from "../src/workers/messages.ts";
import { openSession, type Session } from "../src/workers/session.ts";
import { viewOf } from "../src/workers/views.ts";

const seedOf = (n: number): Uint8Array => new Uint8Array(32).fill(n + 1);
const keyOf = (n: number): string => toHex(publicKey(seedOf(n)));
const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const listAt = (who: number, tag: string): Place => ({ ...place, topic: listTopic(keyOf(who), tag) });
const [list, theirs] = [listAt(5, "mods"), listAt(6, "more")];
function signed(who: number, draft: Omit<Draft, "place"> & { place?: Place }): Document {
  const document = signDraft({ place, date: new Date(Date.now() - 60_000), ...draft }, seedOf(who));
  if (isRefusal(document)) throw new Error(document.code);
  return document;
}

/** What servers have: of each place its files. A place that is not here is asked for in vain. */
const served = new Map<string, readonly Document[]>();
const net = {
  read(where: Place, _held: unknown, sink: TopicSink) {
    const files = served.get(placeText(where));
    if (files !== undefined) setTimeout(() => {
      sink.files(files.map(({ id, bytes }) => ({ id, bytes })), "a");
      sink.state("live");
    });
    return { close: () => undefined, retry: () => undefined };
  },
};
const keep = memoryKeep();
const chosen = signal<readonly { place: Place }[]>([]);
vi.mock("../src/state/page.ts", () => ({ keeping: Promise.resolve(keep), looked: signal(0), unseen: signal(0), tell: vi.fn(), startNet: async () => net, net: signal(net), firstServer: async () => undefined }));
vi.mock("../src/state/me.ts", () => ({ lists: chosen, muted: signal([keyOf(2)]), people: signal([{ key: keyOf(1) }]), order: signal("best") }));
vi.mock("../src/ui/app.tsx", () => ({ current: signal(undefined) }));
const told = vi.fn();
vi.mock("../src/state/notify.ts", () => ({ markIcon: vi.fn(), tellOf: (_place: Place, _name: string, replies: readonly { text: string }[]) => told(replies.map(({ text }) => text).sort()) }));
vi.mock("../src/state/copy.ts", () => ({}));
vi.mock("../src/state/helping.ts", () => ({}));
vi.mock("../src/state/outbox.ts", () => ({}));
vi.mock("../src/ui/waits.tsx", () => ({}));
vi.stubGlobal("navigator", { onLine: true });
// The worker's sessions, in this thread.
vi.mock("../src/workers/pool.ts", () => {
  let opened = 0;
  return {
    openChannel(listener: (message: FromThread) => void) {
      const session = ++opened;
      let made: Session | undefined;
      let turn: Promise<unknown> = Promise.resolve();
      const tell = (message: object): void => listener({ ...message, session } as FromThread);
      const take = async (message: ToThread): Promise<void> => {
        if (message.kind === "open") {
          made = openSession(message.place, message.reading, {
            checkAll: async (claims) => claims.map(({ key, message: text, signature }) => verify(key, text, signature)),
            checkElsewhere: () => undefined, now: () => Date.now(), tell, keepFiles: () => undefined, keepFolder: () => undefined, pause: async () => undefined,
          });
          // The reader has been there, and wrote.
          await made.restore(message.place.topic === place.topic ? [mine.bytes] : [], true, "");
        }
        if (message.kind === "files") await made?.files(unpackFiles(message.pack), message.server, message.list);
        if (message.kind === "live") made?.live();
        if (message.kind === "lists") tell({ kind: "lists", filters: (made?.filters() ?? []).map(viewOf) });
        if (message.kind === "close") made?.close();
      };
      return { session, send: (message: ToThread) => void (turn = turn.then(() => take(message))), close: () => undefined };
    },
  };
});

const mine = signed(1, { body: "mine" });
const reply = (who: number, body: string): Document => signed(who, { body, parent: mine.id });
const hidden = reply(3, "hidden");
const replies = [reply(2, "muted"), hidden, reply(4, "banned"), reply(7, "banned by a delegate"), reply(8, "good")];
const ban = (who: number, where: Place, tag: string, key: string): Document => signed(who, { place: where, tag, kind: "ban", extra: [["Target-Key", key]], body: "" });
const { lookMillis, round } = await import("../src/state/background.ts");

beforeEach(async () => {
  told.mockClear();
  served.clear();
  served.set(placeText(place), [mine, ...replies]);
  await changeTopic(keep, place, { followed: true, visited: 1, name: "/r/news", replies: [] });
});

test("of nobody whom the reader muted", async () => {
  chosen.value = [];
  await round();
  expect(told.mock.calls).toEqual([[["banned", "banned by a delegate", "good", "hidden"]]]);
});

test("of nobody whom the lists that he follows hide or ban, nor their delegates'", async () => {
  chosen.value = [{ place: list }];
  served.set(placeText(list), [
    signed(5, { place: list, tag: "mods", kind: "hide", target: hidden.id, body: "" }), ban(5, list, "mods", keyOf(4)),
    signed(5, { place: list, tag: "mods", kind: "delegate", extra: [["Target-Key", keyOf(6)], ["Target-Tag", "more"]], body: "" }),
  ]);
  served.set(placeText(theirs), [ban(6, theirs, "more", keyOf(7))]);
  await round();
  expect(told.mock.calls).toEqual([[["good"]]]);
  expect((await keptTopic(keep, place))?.replies).toEqual([replies[4]?.id]);
});

test("also where a list is not to be had, but not at once", async () => {
  chosen.value = [{ place: list }];
  vi.useFakeTimers();
  const done = round();
  await vi.advanceTimersByTimeAsync(lookMillis - 1000);
  expect(told).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(2000);
  await done;
  vi.useRealTimers();
  expect(told.mock.calls.flat(2)).toContain("good");
});
