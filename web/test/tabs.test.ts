// Two tabs keep what the reader chooses in one place: what one adds the other, which does not know of it, leaves there.

import { expect, test, vi } from "vitest";
import { hashOfName, type Place, placeText } from "../src/protocol/hash.ts";
import { listTopic } from "../src/protocol/kinds.ts";

vi.mock("../src/state/page.ts", async () => {
  const { memoryKeep: make } = await import("../src/keep/keep.ts");
  return { keeping: Promise.resolve(make()), configured: Promise.resolve({ lists: [] }) };
});
vi.mock("../src/ui/app.tsx", async () => ({ current: (await import("../src/state/signals.ts")).signal(undefined) }));
vi.mock("../src/state/write.ts", () => ({}));
vi.mock("../src/state/outbox.ts", () => ({}));
vi.mock("../src/state/rounds.ts", () => ({}));

const { keeping } = await import("../src/state/page.ts");
const { forgetList, mute, setList } = await import("../src/state/choices.ts");
const { chosen, dismiss, loadMe, muted } = await import("../src/state/me.ts");
const { writeOn } = await import("../src/state/moderate.ts");

const community = hashOfName("reddit");
const at = (tag: string): Place => ({ community, topic: listTopic("11".repeat(32), tag) });
const used = (tag: string) => ({ place: at(tag), label: tag, off: false });
const text = (tag: string, between = " ") => `${placeText(at(tag))}${between}${tag}`;
const own = (tag: string) => ({ place: at(tag), key: "11".repeat(32), tag });

test("what another tab has kept stays", async () => {
  await loadMe();
  const keep = await keeping;
  const kept = async (name: string): Promise<unknown> => keep.get("settings", name);
  // By the other one, since this one has read.
  await keep.put("settings", "muted", ["theirs"]);
  await keep.put("settings", "lists", [text("a"), text("b")]);
  await keep.put("settings", "mine", [own("theirs")]);
  await keep.put("settings", "dismissed", ["this"]);

  mute("ours", true);
  setList(used("c"));
  writeOn(own("c"));
  dismiss("that");
  await vi.waitFor(async () => expect(await kept("dismissed")).toEqual(["this", "that"]));
  expect(await kept("muted")).toEqual(["theirs", "ours"]);
  expect(await kept("lists")).toEqual([text("a"), text("b"), text("c")]);
  expect(await kept("mine")).toEqual([own("c"), own("theirs")]);

  mute("ours", false);
  setList({ ...used("a"), off: true });
  forgetList(at("c"));
  await vi.waitFor(async () => expect(await kept("lists")).toEqual([text("a", "-"), text("b")]));
  expect(await kept("muted")).toEqual(["theirs"]);

  await loadMe();
  expect(muted.value).toEqual(["theirs"]);
  expect(chosen.value.map(({ label, off }) => [label, off])).toEqual([["a", true], ["b", false]]);
});
