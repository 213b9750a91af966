// A topic as it is read: what is verified first, what is shown when, what moves and what does not.

import { describe, expect, test, vi } from "vitest";
import { type Draft, signDraft } from "../src/protocol/build.ts";
import { toHex, utf8 } from "../src/protocol/bytes.ts";
import { type Document, isRefusal } from "../src/protocol/document.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";
import { listTopic } from "../src/protocol/kinds.ts";
import { publicKey, verify } from "../src/protocol/signature.ts";
import type { Claim, Reading, Row, ThreadFacts } from "../src/workers/messages.ts";
import { cutSections, liftMillis, maxDelegates, maxSection, maxSourceFiles, openSession, sectionSize, type Session, type SessionDeps, type SessionMessage } from "../src/workers/session.ts";

const place: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const now = Date.parse("2026-11-26T12:00:00Z");
const seedOf = (n: number): Uint8Array => new Uint8Array(32).fill(n + 1);
const keyOf = (n: number): string => toHex(publicKey(seedOf(n)));

function signed(who: number, draft: Omit<Draft, "place"> & { place?: Place }): Document {
  const document = signDraft({ place, ...draft }, seedOf(who));
  if (isRefusal(document)) throw new Error(document.code);
  return document;
}
const at = (minutes: number): Date => new Date(now - 3_600_000 * 24 + minutes * 60_000);
const comment = (who: number, body: string, more: Partial<Draft> = {}): Document => signed(who, { date: at(0), user: `Reader ${who}`, body, ...more });
const bytesOf = (documents: readonly Document[]): Uint8Array[] => documents.map(({ bytes }) => bytes);

const reading: Reading = { order: "oldest", mine: [], muted: [], lists: [], showHidden: false };

interface Screen {
  rows: Row[];
  facts: ThreadFacts | undefined;
  told: SessionMessage[];
  kept: { files: number; all: boolean }[];
  folders: string[];
  checked: number;
  /** Rows after each time that something was drawn. */
  history: string[][];
}

/** step: milliseconds that pass each time when somebody looks at the clock. */
function start(how: Partial<Reading> = {}, slow = false, step = 0, elsewhere: SessionDeps["checkElsewhere"] = () => undefined) {
  const sections = new Map<string, readonly Row[]>();
  let order: readonly string[] = [];
  const screen: Screen = { rows: [], facts: undefined, told: [], kept: [], folders: [], checked: 0, history: [] };
  let release: () => void = () => undefined;
  let time = now;
  const gate = slow ? new Promise<void>((resolve) => (release = resolve)) : Promise.resolve();
  const session = openSession(place, { ...reading, ...how }, {
    checkAll: async (claims: readonly Claim[]) => {
      await gate;
      screen.checked += claims.length;
      return claims.map(({ key, message, signature }) => verify(key, message, signature));
    },
    checkElsewhere: elsewhere,
    now: () => (time += step),
    tell: (message) => {
      screen.told.push(message);
      if (message.kind === "thread") {
        order = message.order;
        screen.facts = message.facts;
      }
      if (message.kind === "section") sections.set(message.section.key, message.section.rows);
      screen.rows = order.flatMap((key) => [...(sections.get(key) ?? [])]);
      if (message.kind === "section") screen.history.push(screen.rows.map(({ body }) => body));
    },
    keepFiles: (files, all) => screen.kept.push({ files: files.length, all }),
    keepFolder: (id) => screen.folders.push(id),
    pause: () => new Promise((resolve) => setTimeout(resolve, 0)),
  }, 150);
  return { session, screen, release };
}

const bodies = ({ rows }: Screen): string[] => rows.map(({ body }) => body);
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("shows what is verified, and nothing else", async () => {
  const { session, screen } = start();
  const good = comment(1, "good");
  const forged = Uint8Array.from(comment(2, "forged").bytes);
  forged[forged.length - 1] = 0x21;
  const elsewhere = signed(1, { place: { ...place, topic: hashOfName("other") }, body: "elsewhere" });
  await session.files([good.bytes, forged, utf8("plain"), elsewhere.bytes], "a");
  session.live();
  await until(() => screen.facts?.unverified === 0 && screen.rows.length > 0);
  expect(bodies(screen)).toEqual(["good", "plain"]);
  expect(screen.rows[1]).toMatchObject({ plain: true });
});

test("a delete or an edit counts once it is verified", async () => {
  const { session, screen, release } = start({}, true);
  const one = comment(1, "one");
  const edit = signed(1, { date: at(5), kind: "edit", target: one.id, body: "edited" });
  const forged = Uint8Array.from(signed(1, { kind: "delete", target: one.id, body: "x", date: at(0) }).bytes);
  forged[forged.length - 1] = 0x79;
  await session.files([one.bytes, edit.bytes, forged], "a");
  session.live();
  release();
  await until(() => screen.facts?.unverified === 0 && screen.rows.length > 0);
  expect(bodies(screen)).toEqual(["edited"]);
  expect(screen.rows[0]).toMatchObject({ edited: "2026-11-25T12:05:00Z", shown: edit.id });
});

test("the first screen is verified first, and shown before the rest", async () => {
  const { session, screen } = start();
  const many = Array.from({ length: 200 }, (_, i) => comment(i % 3, `n${i}`, { date: at(i) }));
  // In the folder's order, which is nobody's.
  const shuffled = [...many].sort((a, b) => (a.id < b.id ? -1 : 1));
  await session.files(bytesOf(shuffled), "a");
  session.live();
  await until(() => screen.rows.length === 200);
  const first = screen.history.find((rows) => rows.length > 0) as string[];
  expect(first.length).toBeLessThan(200);
  expect(first.slice(0, 50)).toEqual(many.slice(0, 50).map((_, i) => `n${i}`));
  // What is shown stays where it is while the rest comes.
  for (const rows of screen.history) expect(bodies(screen).slice(0, rows.length)).toEqual(rows);
});

test("what comes after the first screen is verified elsewhere, too, and no verdict is lost or made up", async () => {
  const many = Array.from({ length: 600 }, (_, i) => comment(i % 3, `n${i}`, { date: at(i) }));
  const forged = new Set<number>();
  const files = many.map(({ bytes }, i) => {
    if (i % 50 !== 49) return bytes;
    forged.add(i);
    const other = Uint8Array.from(bytes);
    other[other.length - 1] = 0x21;
    return other;
  });
  let [asked, most] = [0, 0];
  const busy = new Set<Promise<unknown>>();
  const seen = new Set<string>();
  const { session, screen } = start({}, false, 20, (claims) => {
    if (busy.size === 2) return undefined;
    asked += claims.length;
    for (const { signature } of claims) {
      expect(seen.has(toHex(signature))).toBe(false);
      seen.add(toHex(signature));
    }
    const answer = new Promise((resolve) => setTimeout(resolve)).then(() => claims.map(({ key, message, signature }) => verify(key, message, signature)));
    busy.add(answer);
    most = Math.max(most, busy.size);
    void answer.then(() => busy.delete(answer));
    return answer;
  });
  await session.files(files.slice(0, 120), "a");
  await until(() => screen.rows.length > 0);
  expect(asked).toBe(0);
  await session.files(files.slice(120), "a");
  session.folder("all of it");
  session.live();
await until(() => screen.facts?.unverified === 0 && screen.rows.length === files.length - forged.size);
  expect(bodies(screen)).toEqual(many.flatMap((_, i) => (forged.has(i) ? [] : [`n${i}`])));
  expect(most).toBe(2);
  expect(asked).toBeGreaterThanOrEqual(256);
  // Each is verified once, there or here.
  expect(asked + screen.checked).toBe(files.length);
}, 60_000);

test("what could not be verified is not shown, and is verified once it can be", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let asked = 0;
  let isThere = false;
  const session = openSession(place, reading, {
    checkAll: async (claims) => {
      asked++;
      if (!isThere) throw new TypeError("Failed to fetch dynamically imported module");
      return claims.map(() => true);
    },
    checkElsewhere: () => undefined, now: () => now, tell: (message) => void (message.kind === "thread" && counts.push(message.facts.total)),
    keepFiles: () => undefined, keepFolder: () => undefined, pause: async () => undefined,
  });
  const counts: number[] = [];
  try {
    await session.files([comment(1, "one").bytes], "a");
    session.live();
    for (let i = 0; i < 5; i++) await vi.advanceTimersByTimeAsync(1000);
    expect(Math.max(0, ...counts)).toBe(0);
    // Once a second, not as often as it fails.
    expect(asked).toBeLessThanOrEqual(7);
    expect(asked).toBeGreaterThanOrEqual(4);
    isThere = true;
    await vi.advanceTimersByTimeAsync(2000);
    expect(counts.at(-1)).toBe(1);
  } finally {
    vi.useRealTimers();
    session.close();
  }
});

test("what nobody else could verify is verified here", async () => {
  const many = Array.from({ length: 400 }, (_, i) => comment(i % 3, `n${i}`, { date: at(i) }));
  let failed = 0;
  const { session, screen } = start({}, false, 20, () => (++failed > 3 ? undefined : Promise.reject(new TypeError("Failed to fetch"))));
  await session.files(bytesOf(many.slice(0, 120)), "a");
  await until(() => screen.rows.length > 0);
  await session.files(bytesOf(many.slice(120)), "a");
  session.folder("all of it");
  session.live();
  await until(() => screen.facts?.unverified === 0 && screen.rows.length === many.length);
  expect(failed).toBeGreaterThan(1);
  expect(screen.checked).toBe(many.length);
}, 60_000);

test("once all is here a thread grows at its end alone, each comment with what acts on it", async () => {
  const { session, screen } = start({}, false, 1000);
  const comments = Array.from({ length: 700 }, (_, i) => comment(i % 3, `n${i}`, { date: at(i) }));
  const edits = comments.filter((_, i) => i % 4 === 0).map((target, i) => signed((4 * i) % 3, { date: at(1000 + i), kind: "edit", target: target.id, body: `edited ${i}` }));
  await session.files(bytesOf([...comments, ...edits].sort((a, b) => (a.id < b.id ? -1 : 1))), "a");
  session.live();
  await until(() => screen.facts?.unverified === 0 && screen.rows.length === 700);
  expect(bodies(screen).filter((body) => body.startsWith("edited"))).toHaveLength(175);
  const draws = screen.told.filter(({ kind }) => kind === "thread").length;
  expect(draws).toBeGreaterThan(2);
  for (const rows of screen.history) expect(bodies(screen).slice(0, rows.length)).toEqual(rows);
});

test("while more is to come only the beginning is drawn, unless the reader goes on", async () => {
  const { session, screen } = start({}, false, 5000);
  const many = Array.from({ length: 600 }, (_, i) => comment(i % 3, `n${i}`, { date: at(i) }));
  await session.files(bytesOf(many), "a");
  await until(() => screen.checked === 600);
  expect(screen.rows.length).toBe(200);
  const seen = bodies(screen);
  session.settle();
  await until(() => screen.rows.length === 600);
  expect(bodies(screen).slice(0, seen.length)).toEqual(seen);
});

test("takes the SHA-1 that the page has computed, and computes the others", async () => {
  const { session, screen } = start();
  const [one, two] = [comment(1, "one"), comment(2, "two", { date: at(1) })];
  const given = "1".repeat(40) as Hash;
  await session.files(bytesOf([one, two]), "a", undefined, [given, undefined]);
  session.live();
  await until(() => screen.rows.length === 2);
  expect(screen.rows.map(({ id }) => id)).toEqual([given, two.id]);
});

test("a reader who is who he was has nothing drawn again", async () => {
  const { session, screen } = start();
  await session.files([comment(1, "one").bytes], "a");
  session.live();
  await until(() => screen.rows.length === 1);
  const before = screen.told.length;
  session.read({ ...reading, mine: [], muted: [] });
  expect(screen.told.length).toBe(before);
  session.read({ ...reading, mine: [keyOf(1)] });
  expect(screen.rows[0]).toMatchObject({ mine: true });
});

describe("once all is here", () => {
  async function live(how: Partial<Reading> = {}) {
    const begun = start(how);
    await begun.session.files(bytesOf([comment(1, "one"), comment(2, "two", { date: at(1) })]), "a");
    begun.session.live();
    await until(() => begun.screen.rows.length === 2);
    return begun;
  }

  test("what comes waits until it is wanted, and is marked then", async () => {
    const { session, screen } = await live();
    await session.files([comment(3, "news", { date: at(2) }).bytes], "a");
    await until(() => screen.facts?.pending === 1);
    expect(bodies(screen)).toEqual(["one", "two"]);
    session.apply();
    expect(bodies(screen)).toEqual(["one", "two", "news"]);
    expect(screen.rows.map(({ fresh }) => fresh)).toEqual([undefined, undefined, true]);
    expect(screen.facts).toMatchObject({ pending: 0, fresh: 1 });
  });

  test("what the reader writes is there at once, and can be taken back", async () => {
    const { session, screen } = await live({ mine: [keyOf(9)] });
    const mine = comment(9, "mine", { date: at(3) });
    await session.own(mine.bytes);
    expect(bodies(screen)).toEqual(["one", "two", "mine"]);
    expect(screen.rows[2]).toMatchObject({ mine: true });
    const before = screen.kept.length;
    session.undo(mine.id);
    expect(bodies(screen)).toEqual(["one", "two"]);
    expect(screen.kept.length).toBe(before);
    await session.own(mine.bytes);
    session.sent(mine.id);
    expect(screen.kept.at(-1)).toEqual({ files: 1, all: false });
  });

  test("an edit changes its place, and a vote moves nothing", async () => {
    const { session, screen } = await live({ order: "newest" });
    expect(bodies(screen)).toEqual(["two", "one"]);
    const one = screen.rows[1] as Row;
    await session.files([signed(1, { kind: "edit", target: one.id, date: at(9), body: "one, again" }).bytes], "a");
    await until(() => bodies(screen)[1] === "one, again");
    session.read({ ...reading, order: "discussed" });
    const order = bodies(screen);
    await session.files([comment(3, "answer", { parent: (screen.rows[1] as Row).id, date: at(5) }).bytes], "a");
    await until(() => screen.facts?.pending === 1);
    session.apply();
    expect(bodies(screen).filter((body) => body !== "answer")).toEqual(order);
  });

  test("a delete takes the bytes from what is kept", async () => {
    const { session, screen } = await live();
    const [one] = screen.rows as [Row];
    await session.files([signed(1, { kind: "delete", target: one.id, date: at(0), body: "" }).bytes], "a");
    await until(() => screen.rows.length === 1);
    expect(bodies(screen)).toEqual(["two"]);
    expect(screen.kept.at(-1)).toEqual({ files: 2, all: true });
  });
});

test("what was here before needs no checking, and what came since is marked", async () => {
  const { session, screen } = start();
  const one = comment(1, "one");
  await session.restore([one.bytes], true, "Qm-folder");
  expect(screen.told[0]).toEqual({ kind: "held", ids: [one.id], folder: "Qm-folder" });
  expect(bodies(screen)).toEqual(["one"]);
  expect(screen.checked).toBe(0);
  await session.files([one.bytes, comment(2, "two", { date: at(1) }).bytes], "a");
  session.live();
  await until(() => screen.facts?.unverified === 0 && screen.checked === 1);
  session.apply();
  expect(screen.rows.map(({ body, fresh }) => [body, fresh])).toEqual([["one", undefined], ["two", true]]);
  expect(screen.checked).toBe(1);
});

test("a folder is remembered when all of it is verified and kept, and not where a server gave too much", async () => {
  const { session, screen } = start();
  await session.files([comment(1, "one").bytes], "a");
  session.folder("Qm1");
  expect(screen.folders).toEqual([]);
  session.live();
  await until(() => screen.folders.length > 0);
  expect(screen.folders).toEqual(["Qm1"]);

  const flooded = start();
  await flooded.session.files(Array.from({ length: maxSourceFiles + 1 }, () => utf8("x")), "a");
  await flooded.session.files([utf8("from another")], "b");
  flooded.session.folder("Qm2");
  flooded.session.live();
  await until(() => flooded.screen.rows.length === 2);
  expect(flooded.screen.folders).toEqual([]);
});

test("muted keys and lists hide, and say how many", async () => {
  const owner = 5;
  const list: Place = { community: place.community, topic: listTopic(keyOf(owner), "news") };
  const { session, screen } = start({ muted: [keyOf(2)], lists: [list] });
  const spam = comment(1, "spam");
  await session.files(bytesOf([spam, comment(2, "muted", { date: at(1) }), comment(3, "seen", { date: at(2) })]), "a");
  await session.files([signed(owner, { place: list, kind: "hide", target: spam.id, tag: "news", date: at(1), body: "" }).bytes], "a", list);
  session.live();
  await until(() => screen.facts?.hiddenBy.join() === "1,1");
  expect(bodies(screen)).toEqual(["seen"]);
  session.read({ ...reading, muted: [keyOf(2)], lists: [list], showHidden: true });
  expect(screen.rows.map(({ body, hidden }) => [body, hidden])).toEqual([["spam", 0], ["muted", "muted"], ["seen", undefined]]);
});

describe("replies that are told", () => {
  const owner = 5;
  const list: Place = { community: place.community, topic: listTopic(keyOf(owner), "news") };
  const said = ({ facts }: Screen): string[] => (facts?.replies ?? []).map(({ text }) => text).sort();
  const mine = comment(1, "mine");
  const reply = (who: number, body: string): Document => comment(who, body, { date: at(1), parent: mine.id });
  const unwanted = reply(3, "hidden");
  const all = [reply(2, "muted"), unwanted, reply(4, "banned"), reply(6, "good"), comment(6, "to nobody")];
  const words = [
    signed(owner, { place: list, kind: "hide", target: unwanted.id, tag: "news", date: at(1), body: "" }),
    signed(owner, { place: list, kind: "ban", extra: [["Target-Key", keyOf(4)]], tag: "news", date: at(1), body: "" }),
  ];

  test("are of nobody whom the reader muted, and not deleted again", async () => {
    const { session, screen } = start({ mine: [keyOf(1)], muted: [keyOf(2)] });
    await session.restore([mine.bytes], true, "");
    const gone = reply(6, "gone");
    await session.files(bytesOf([...all, gone, signed(6, { kind: "delete", target: gone.id, date: at(2), body: "" })]), "a");
    session.live();
    await until(() => screen.facts?.unverified === 0 && said(screen).length > 0);
    expect(said(screen)).toEqual(["banned", "good", "hidden"]);
    expect(screen.facts?.replies.find(({ text }) => text === "good")).toMatchObject({ key: keyOf(6), user: "Reader 6" });
  });

  test("are not of those whom his lists hide, though they are read after the thread", async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true, toFake: ["setTimeout", "clearTimeout"] });
    const { session, screen } = start({ mine: [keyOf(1)], muted: [keyOf(2)], lists: [list] });
    await session.restore([mine.bytes], true, "");
    await session.files(bytesOf(all), "a");
    session.live();
    await until(() => screen.facts?.unverified === 0 && screen.facts.total === 6);
    expect(said(screen)).toEqual([]);
    await session.files(bytesOf(words), "a", list);
    await until(() => screen.facts?.hiddenBy[0] === 2);
    await vi.advanceTimersByTimeAsync(liftMillis);
    vi.useRealTimers();
    expect(said(screen)).toEqual(["good"]);
    // Nothing of it was ever told.
    for (const message of screen.told) if (message.kind === "thread") expect(message.facts.replies.filter(({ text }) => text !== "good")).toEqual([]);
    await session.files(bytesOf([reply(4, "banned still"), reply(6, "later")]), "a");
    await until(() => said(screen).length === 2);
    expect(said(screen)).toEqual(["good", "later"]);
  });
});

test("one name under two keys is told apart, whatever its case and invisible characters", async () => {
  const { session, screen } = start();
  await session.files(bytesOf([comment(1, "a", { user: "Bob" }), comment(2, "b", { user: "b\u200bOB", date: at(1) }), comment(3, "c", { user: "Carol", date: at(2) })]), "a");
  session.live();
  await until(() => screen.rows.length === 3);
  expect(screen.rows.map(({ user, clash }) => [user, clash])).toEqual([["Bob", true], ["bOB", true], ["Carol", undefined]]);
});

describe("sections", () => {
  const rows = (ids: readonly string[]): Row[] => ids.map((id) => ({ id: id as Hash, depth: 0, body: "", up: 0, down: 0, replies: 0, shown: id as Hash }));
  const ids = Array.from({ length: 170 }, (_, i) => `r${i}`);
  test("are of fifty, and keep where they began", () => {
    const first = cutSections(rows(ids), []);
    expect(first.map((section) => section.rows.length)).toEqual([sectionSize, sectionSize, sectionSize, 20]);
    const next = cutSections(rows([...ids.slice(0, 60), "new", ...ids.slice(60)]), first);
    expect(next.map(({ key }) => key)).toEqual(first.map(({ key }) => key));
    expect(next[1]?.rows.length).toBe(sectionSize + 1);
    expect(next[2]).toEqual(first[2]);
  });
  test("grow to their bound", () => {
    const first = cutSections(rows(ids.slice(0, 50)), []);
    const next = cutSections(rows(ids), first);
    expect(Math.max(...next.map((section) => section.rows.length))).toBe(maxSection);
    expect(next.flatMap((section) => section.rows.map(({ id }) => id))).toEqual(ids);
  });
});

describe("lists", () => {
  const listOf = (who: number, tag: string): Place => ({ ...place, topic: listTopic(keyOf(who), tag) });
  const list = listOf(1, "mods");
  const delegate = (who: number, tag: string): Document => signed(who, { place: list, date: at(0), kind: "delegate", tag: "mods", extra: [["Target-Key", keyOf(2)], ["Target-Tag", tag]], body: "" });

  test("only whom its owner made a delegate is read, and of many those of the smallest topics", async () => {
    const { session, screen } = start({ lists: [list] });
    const tags = Array.from({ length: maxDelegates + 4 }, (_, i) => `tag ${i}`);
    await session.files(bytesOf([delegate(3, "a stranger's"), ...tags.map((tag) => delegate(1, tag))]), "a", list);
    session.live();
    await until(() => screen.facts?.unverified === 0 && screen.told.some(({ kind }) => kind === "delegates"));
    const places = screen.told.flatMap((message) => (message.kind === "delegates" ? [message.places] : [])).at(-1);
    const heard = tags.map((tag) => listOf(2, tag).topic).sort().slice(0, maxDelegates);
    expect(places?.map(({ topic }) => topic)).toEqual(heard);
    // All documents are looked through for each that is heard: an owner with thousands would have the worker do nothing else.
    expect(session.filters().map(({ delegates, unheard }) => [delegates.map(({ place: { topic } }) => topic), unheard])).toEqual([[heard, 4]]);
  });

  test("what one pins comes first when it is read right after the thread, and not once he reads on or later", async () => {
    const pinnedLate = async (meanwhile: (session: Session) => void, step: number): Promise<string[]> => {
      const { session, screen } = start({ lists: [list] }, false, step);
      const two = comment(3, "two", { date: at(1) });
      await session.files(bytesOf([comment(2, "one"), two]), "a");
      session.live();
      await until(() => screen.facts?.unverified === 0 && screen.rows.length === 2);
      expect(bodies(screen)).toEqual(["one", "two"]);
      meanwhile(session);
      await session.files(bytesOf([signed(1, { place: list, date: at(0), kind: "pin", target: two.id, tag: "mods", body: "" })]), "a", list);
      await until(() => screen.rows.some(({ pinned }) => pinned));
      return bodies(screen);
    };
    expect(await pinnedLate(() => undefined, 0)).toEqual(["two", "one"]);
    expect(await pinnedLate((session) => session.settle(), 0)).toEqual(["one", "two"]);
    expect(await pinnedLate(() => undefined, 6000)).toEqual(["one", "two"]);
  });

  test("one that is used no more hides nothing, and hides again when it is used again", async () => {
    const { session, screen } = start({ lists: [list] });
    const spam = comment(2, "spam");
    await session.files(bytesOf([comment(1, "good"), spam]), "a");
    await session.files(bytesOf([signed(1, { place: list, date: at(0), kind: "hide", target: spam.id, tag: "mods", body: "" })]), "a", list);
    session.live();
    await until(() => screen.facts?.unverified === 0 && screen.rows.length > 0);
    expect([bodies(screen), screen.facts?.hiddenBy]).toEqual([["good"], [1, 0]]);
    session.read(reading);
    expect([bodies(screen).sort(), screen.facts?.hiddenBy]).toEqual([["good", "spam"], [0]]);
    session.read({ ...reading, lists: [list] });
    expect(bodies(screen)).toEqual(["good"]);
    expect(session.filters().map(({ owner }) => owner.tag)).toEqual(["mods"]);
  });
});
