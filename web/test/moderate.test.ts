// Lists that a reader follows and keeps: how they are named, what they say, and what is said on them.

import { beforeEach, describe, expect, test, vi } from "vitest";
import { signDraft } from "../src/protocol/build.ts";
import { toHex } from "../src/protocol/bytes.ts";
import { type Document, isRefusal } from "../src/protocol/document.ts";
import { readFilter } from "../src/protocol/filter.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";
import { listTopic } from "../src/protocol/kinds.ts";
import { publicKey } from "../src/protocol/signature.ts";
import { type Signal, signal } from "../src/state/signals.ts";
import type { FilterView } from "../src/workers/messages.ts";
import { viewOf } from "../src/workers/views.ts";

let site: readonly string[] = [];
const tell = vi.fn();
const send = vi.fn();
const unshow = vi.fn();
const showIn = vi.fn();
vi.mock("../src/state/page.ts", async () => {
  const { memoryKeep: make } = await import("../src/keep/keep.ts");
  return { keeping: Promise.resolve(make()), get configured() { return Promise.resolve({ lists: site }); }, tell: (...all: unknown[]) => tell(...all), startNet: async () => undefined };
});
vi.mock("../src/ui/app.tsx", async () => ({ current: (await import("../src/state/signals.ts")).signal(undefined) }));
vi.mock("../src/state/write.ts", () => ({ author: async () => who, send: (...all: unknown[]) => send(...all) }));
vi.mock("../src/state/outbox.ts", () => ({ showIn: (...all: unknown[]) => showIn(...all) }));
vi.mock("../src/state/rounds.ts", () => ({ openQuiet: vi.fn(), readAgain: vi.fn() }));
vi.mock("../src/state/lists.ts", async (original) => ({ ...(await original<typeof import("../src/state/lists.ts")>()), openList: () => opened }));

const { isHidden, listLink, listNamed, wordOf } = await import("../src/state/lists.ts");
const moderate = await import("../src/state/moderate.ts");
const { chosen, lists, loadMe, maxLists, people } = await import("../src/state/me.ts");
const { current } = await import("../src/ui/app.tsx");
const { keeping } = await import("../src/state/page.ts");
const { setList } = await import("../src/state/choices.ts");

const seed = new Uint8Array(32).fill(1);
const key = toHex(publicKey(seed));
const other = toHex(publicKey(new Uint8Array(32).fill(2)));
const who = { key, kept: { seed, name: "", made: 0, saved: false } };
const community = hashOfName("reddit");
const place: Place = { community, topic: listTopic(key, "news mods") };
const list = { place, key, tag: "news mods" };
const id = hashOfName("a comment");
const opened = { view: signal<FilterView | undefined>(undefined), heard: Promise.resolve(), own: vi.fn(), undo: vi.fn(), ask: vi.fn(), take: vi.fn(), close: vi.fn() };
const view = opened.view as Signal<FilterView | undefined>;
const nothing: FilterView = { own: new Map(), theirs: new Map(), unheard: 0 };

beforeEach(async () => {
  for (const [name] of await (await keeping).list("settings")) await (await keeping).remove("settings", name);
  tell.mockClear();
  send.mockReset();
  unshow.mockClear();
  showIn.mockReset().mockReturnValue(unshow);
  send.mockImplementation(async (_draft, _who, _least, told) => {
    told({ at: "saved", servers: 2, done: true });
    return true;
  });
  people.value = [who];
  chosen.value = [];
  view.value = nothing;
  moderate.last.value = undefined;
});

describe("names of lists", () => {
  test.each([
    [place.topic, { place }],
    [` ${community}/${place.topic}\n`, { place }],
    [`${key} news mods`, list],
    [`${key} 100%`, { place: { community, topic: listTopic(key, "100%") }, key, tag: "100%" }],
    [`https://page.example/some/#list/${community}/${key}/news%20mods`, list],
    [`#list/reddit/${key}/news%20mods`, list],
    [`#/reddit/${place.topic}`, { place }],
    [`#list/r%C3%A9seau/${place.topic}`, { place: { community: hashOfName("réseau"), topic: place.topic } }],
  ])("%j", (text, named) => expect(listNamed(text, "reddit")).toEqual(named));
  test.each(["", "news", key, `${key} `, place.topic.toUpperCase(), `#list/reddit/${key}/%E0%A4%A`, "#/reddit/%2Fr%2Fnews", `${place.topic}0`])("%j names none", (text) => expect(listNamed(text, "reddit")).toBeUndefined());
  test("a link is read as it was written", () => {
    for (const tag of ["news mods", "a/b", "#?&%", "ü"]) {
      const named = { place: { community, topic: listTopic(key, tag) }, key, tag };
      expect(listNamed(`https://page.example/${listLink(named)}`, "other")).toEqual(named);
    }
    expect(listNamed(listLink({ place }), "other")).toEqual({ place });
  });
});

describe("lists that are followed", () => {
  test("those that are off are kept and not used, and so many are used at most", () => {
    const at = (n: number): Place => ({ community, topic: hashOfName(String(n)) });
    for (let n = 0; n < 3 * maxLists; n++) setList({ place: at(n), label: `${n}`, off: n === 0 });
    expect(lists.value.map(({ label }) => label)).toEqual(Array.from({ length: maxLists }, (_, n) => `${n + 1}`));
    expect(chosen.value.length).toBe(2 * maxLists);
    setList({ place: at(0), label: "0", off: false });
    expect(lists.value[0]?.label).toBe("0");
    expect(chosen.value.length).toBe(2 * maxLists);
  });
  test("the site's are used until the reader switches them off", async () => {
    site = [`${community}/${place.topic} site mods`, "no list"];
    setList({ place: { community, topic: id }, label: "own", off: false });
    await loadMe();
    expect(lists.value).toEqual([{ place, label: "site mods", off: false }, { place: { community, topic: id }, label: "own", off: false }]);
    setList({ place, label: "site mods", off: true });
    await loadMe();
    expect(lists.value.map(({ label }) => label)).toEqual(["own"]);
    expect(chosen.value[0]).toEqual({ place, label: "site mods", off: true });
    site = [];
  });
});

describe("what a list says", () => {
  const seeds = new Map([[key, seed], [other, new Uint8Array(32).fill(2)]]);
  function act(by: string, tag: string, kind: string, thing: string, seconds: number): Document {
    const on = kind.endsWith("ban") ? { extra: [["Target-Key", thing]] as const } : kind.endsWith("delegate") ? { extra: [["Target-Key", thing.slice(0, 64)], ["Target-Tag", thing.slice(65)]] as const } : { target: thing as Hash };
    const made = signDraft({ place: { community, topic: listTopic(by, tag) }, date: new Date(seconds * 1000), kind: kind as "hide", tag, body: "", ...on }, seeds.get(by) as Uint8Array);
    if (isRefusal(made)) throw new Error(made.code);
    return made;
  }
  const of = (...documents: Document[]): FilterView => viewOf(readFilter(place, documents, Date.parse("2026-11-26T12:00:00Z"), 1));
  const b = hashOfName("b");

  test("the owner's word stands before a delegate's yes, and a delegate's no is none", () => {
    const shown = of(
      act(key, "news mods", "delegate", `${other} theirs`, 1), act(other, "theirs", "hide", id, 2), act(other, "theirs", "hide", b, 2),
      act(key, "news mods", "show", b, 1), act(other, "theirs", "unpin", id, 2),
    );
    expect([isHidden(shown, id, undefined), isHidden(shown, b, undefined), wordOf(shown, "pin", id)]).toEqual([true, false, undefined]);
    expect(shown.theirs.get(`hide ${id}`)).toBe("theirs");
    // Of what the owner speaks he alone does.
    expect(shown.theirs.has(`hide ${b}`)).toBe(false);
    expect(shown).toMatchObject({ key, tag: "news mods", unheard: 0 });
  });
  test("a comment of who is banned is hidden, but for those that the owner shows", () => {
    const shown = of(act(key, "news mods", "ban", other, 1), act(key, "news mods", "show", id, 1));
    expect([isHidden(shown, b, other), isHidden(shown, id, other), isHidden(shown, b, undefined)]).toEqual([true, false, false]);
  });
  test("delegates beyond those that are heard are counted", () => expect(of(act(key, "news mods", "delegate", `${other} a`, 1), act(key, "news mods", "delegate", `${other} b`, 1)).unheard).toBe(1));
  test("nothing is known of nothing", () => expect([isHidden(undefined, id, key), wordOf(undefined, "pin", id)]).toEqual([false, undefined]));
});

describe("acts", () => {
  const drafts = (): unknown[] => send.mock.calls.map(([draft]) => draft);
  const now = Date.parse("2026-11-26T12:00:00.700Z");

  test("are dated after the last word on the same thing, and have what each is on", () => {
    const made = moderate.draftOf(list, { about: "hide", yes: true, thing: id }, "2026-11-26T12:00:05Z", now);
    expect(made).toEqual({ place, tag: "news mods", kind: "hide", target: id, date: new Date("2026-11-26T12:00:06Z"), body: "" });
    expect(moderate.draftOf(list, { about: "ban", yes: false, thing: other }, undefined, now)).toMatchObject({ kind: "unban", date: new Date(now), extra: [["Target-Key", other]] });
    expect(moderate.draftOf(list, { about: "delegate", yes: true, thing: `${other} a b` }, "", now)).toMatchObject({ kind: "delegate", extra: [["Target-Key", other], ["Target-Tag", "a b"]] });
  });

  test("stand in the view at once, are said with how many servers have them, and are taken back", async () => {
    moderate.openOwn(list);
    const note = { place: { community, topic: hashOfName("/r/news") }, text: "Buy things." };
    const saying = moderate.say(list, [{ about: "hide", yes: true, thing: id, note }]);
    await Promise.resolve().then(() => undefined).then(() => undefined);
    await vi.waitFor(() => expect(wordOf(view.value, "hide", id)).toBe(true));
    await saying;
    expect(tell.mock.lastCall?.[0]).toMatchObject({ text: "Hidden on news mods. Saved on 2 servers." });
    expect(moderate.notes.value).toContainEqual({ thing: id, ...note });
    moderate.undoLast();
    await vi.waitFor(() => expect(drafts()).toMatchObject([{ kind: "hide" }, { kind: "show" }]));
    await vi.waitFor(() => expect(wordOf(view.value, "hide", id)).toBe(false));
    const [first, second] = drafts() as { date: Date }[];
    expect(Math.floor(Number(second?.date) / 1000)).toBeGreaterThan(Math.floor(Number(first?.date) / 1000));
  });

  test("that no server takes now are said to wait, and then where they are", async () => {
    moderate.openOwn(list);
    const waiting: ((state: object) => void)[] = [];
    send.mockImplementation(async (_draft, _who, _least, told) => {
      waiting.push(told);
      told({ at: "waits" });
      return true;
    });
    await moderate.say(list, [{ about: "hide", yes: true, thing: id }, { about: "pin", yes: true, thing: hashOfName("b") }]);
    expect(tell.mock.lastCall?.[0]).toMatchObject({ text: "Hidden on news mods: 2. Waits for a server. It goes out by itself.", action: { label: "Undo" } });
    expect(wordOf(view.value, "hide", id)).toBe(true);
    tell.mockClear();
    waiting[0]?.({ at: "saved", servers: 2, done: true });
    expect(tell).not.toHaveBeenCalled();
    waiting[1]?.({ at: "saved", servers: 1, done: true });
    expect(tell.mock.lastCall?.[0]).toMatchObject({ text: "Hidden on news mods: 2. Saved on 1 server.", action: { label: "Undo" } });
    moderate.last.value = undefined;
    waiting[1]?.({ at: "saved", servers: 1, done: true });
    expect(tell.mock.lastCall?.[0].action).toBeUndefined();
    waiting[1]?.({ at: "failed", code: "denied", detail: "the operator keeps none of this", retryAfter: 0 });
    expect(tell.mock.lastCall?.[0].text).toBe("No server takes it: the operator keeps none of this");
  });

  test("that the list says already are not said again", async () => {
    view.value = { ...nothing, own: new Map([[`hide ${id}`, { yes: true, date: "2026-11-26T12:00:00Z" }]]) };
    await moderate.say(list, [{ about: "hide", yes: true, thing: id }]);
    expect(send).not.toHaveBeenCalled();
    expect(tell.mock.lastCall?.[0]).toMatchObject({ text: "The list says that already." });
  });

  test("on a list whose key is not here are not sent, and that is said", async () => {
    people.value = [];
    await moderate.say(list, [{ about: "hide", yes: true, thing: id }]);
    expect(send).not.toHaveBeenCalled();
    expect(tell.mock.lastCall?.[0].text).toContain("keeps this list is not here");
  });

  test("a ban of a delegate says that his list still counts", async () => {
    moderate.openOwn(list);
    view.value = { ...nothing, own: new Map([[`delegate ${other} theirs`, { yes: true, date: "" }]]) };
    await moderate.say(list, [{ about: "ban", yes: true, thing: other }]);
    expect(tell.mock.lastCall?.[0].text).toBe("Banned on news mods. Saved on 2 servers. This delegate's list still counts.");
  });

  const many = Array.from({ length: 30 }, (_, i) => ({ about: "ban" as const, yes: true, thing: i.toString(16).padStart(64, "0") }));

  test("go some at once, and wait where a server asks for it", async () => {
    vi.useFakeTimers();
    let under = 0;
    let most = 0;
    let asked = 0;
    send.mockImplementation(async (_draft, _who, _least, told) => {
      most = Math.max(most, ++under);
      await Promise.resolve();
      under--;
      if (asked++ === 5) {
        told({ at: "failed", code: "rate-limited", detail: "", retryAfter: 2 });
        return false;
      }
      told({ at: "saved", servers: 1, done: true });
      return true;
    });
    const saying = moderate.say(list, many);
    await vi.advanceTimersByTimeAsync(3000);
    await saying;
    vi.useRealTimers();
    expect(most).toBe(4);
    expect(send).toHaveBeenCalledTimes(31);
    expect(tell.mock.lastCall?.[0].text).toBe("Banned on news mods: 30. Saved on 1 server.");
  });

  test("that are refused leave the rest unsent: they can be tried again, and what was sent can be taken back", async () => {
    let asked = 0;
    send.mockImplementation(async (_draft, _who, _least, told) => {
      const saved = asked++ < 8;
      told(saved ? { at: "saved", servers: 1, done: true } : { at: "failed", code: "denied", detail: "the operator keeps none of this", retryAfter: 0 });
      return saved;
    });
    await moderate.say(list, many);
    expect(tell.mock.lastCall?.[0].text).toBe("22 were not sent. No server takes it: the operator keeps none of this");
    expect(opened.ask).toHaveBeenCalledWith("lists");
    expect(moderate.last.value?.acts.length).toBe(8);
    asked = 0;
    view.value = nothing;
    tell.mock.lastCall?.[0].action.act();
    await vi.waitFor(() => expect(send.mock.calls.length).toBeGreaterThan(12));
  });

  test("a reader without a list gets one by his first act, and reads with it", async () => {
    const made = await moderate.makeList(community, "of mine");
    const topic = { own: vi.fn(), undo: vi.fn() };
    current.value = topic as never;
    showIn.mockImplementation((_place, shows) => {
      shows.own(new Uint8Array(1), made?.place);
      shows.undo(id);
      return unshow;
    });
    await moderate.say(made as NonNullable<typeof made>, [{ about: "hide", yes: true, thing: id }]);
    // What waits is shown in the topic that is read, as long as that does not read the list itself.
    expect(topic.own).toHaveBeenCalledWith(new Uint8Array(1), made?.place);
    expect(topic.undo).toHaveBeenCalledWith(id);
    expect(unshow).toHaveBeenCalledTimes(1);
    current.value = undefined;
    expect(lists.value.map(({ label }) => label)).toEqual(["of mine"]);
    expect(moderate.listIn(community)).toEqual(made);
    expect(await moderate.makeList(community, id)).toBeUndefined();
    expect(await moderate.makeList(community, "two\nlines")).toBeUndefined();
  });

  test("so many comments are remembered in words", async () => {
    const acts = Array.from({ length: moderate.maxNotes + 1 }, (_, i) => ({ about: "hide" as const, yes: true, thing: hashOfName(`n${i}`), note: { place, text: `${i}` } }));
    await moderate.say(list, acts);
    expect(moderate.notes.value.length).toBe(moderate.maxNotes);
    expect(moderate.notes.value.at(-1)?.text).toBe(`${moderate.maxNotes}`);
  });

  test("a browser keeps so many own lists", async () => {
    for (let n = 0; n <= moderate.maxMine; n++) moderate.writeOn({ place: { community, topic: listTopic(key, `t${n}`) }, key, tag: `t${n}` });
    expect(moderate.mine.value.length).toBe(moderate.maxMine);
    expect(moderate.listIn(community)?.tag).toBe(`t${moderate.maxMine}`);
  });
});

