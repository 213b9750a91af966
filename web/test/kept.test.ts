// The worker that reads topics, with the database: what it says is kept is there.

import "fake-indexeddb/auto";
import { expect, test, vi } from "vitest";
import { openKeep } from "../src/keep/keep.ts";
import { packFiles } from "../src/keep/pack.ts";
import { keptTopic } from "../src/keep/topics.ts";
import { utf8 } from "../src/protocol/bytes.ts";
import { hashOfName, type Place } from "../src/protocol/hash.ts";
import type { FromThread, Reading, ToThread } from "../src/workers/messages.ts";

const told: FromThread[] = [];
vi.stubGlobal("postMessage", (message: FromThread) => void told.push(message));
const { readTopics } = await import("../src/workers/thread.ts");
readTopics();
const say = (data: ToThread): void => (globalThis as unknown as { onmessage(event: { data: ToThread }): void }).onmessage({ data });
const reading: Reading = { order: "oldest", mine: [], muted: [], lists: [], showHidden: false };
const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };

/** Opens the topic; what is held of it. */
async function held(session: number): Promise<{ comments: number; folder: string }> {
  say({ kind: "open", session, place, reading, quiet: false });
  const found = (): Extract<FromThread, { kind: "held" }> | undefined => told.flatMap((each) => (each.kind === "held" && each.session === session ? [each] : []))[0];
  await vi.waitFor(() => expect(found()).toBeDefined());
  return { comments: found()?.ids.length ?? 0, folder: found()?.folder ?? "" };
}

test("a folder of which a part was lost is not said to be held", async () => {
  const keep = await openKeep();
  await held(1);
  const files = (...texts: string[]): void => say({ kind: "files", session: 1, server: "a", pack: packFiles(texts.map(utf8)) });
  files("one", "two");
  say({ kind: "live", session: 1 });
  await vi.waitFor(async () => expect((await keptTopic(keep, place))?.packs).toBe(1));
  files("three");
  say({ kind: "folder", session: 1, id: "QmA" });
  await vi.waitFor(async () => expect(await keptTopic(keep, place)).toMatchObject({ packs: 2, folder: "QmA" }));
  say({ kind: "close", session: 1 });
  expect(await held(2)).toEqual({ comments: 3, folder: "QmA" });
  say({ kind: "close", session: 2 });
  // As when a tab is closed while it writes them anew, or another one has written at the same place.
  const [[first = ""] = []] = await keep.list("packs");
  await keep.remove("packs", first);
  expect(await held(3)).toEqual({ comments: 1, folder: "" });
});
