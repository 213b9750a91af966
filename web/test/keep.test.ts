import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, test } from "vitest";
import { type Keep, memoryKeep, openKeep } from "../src/keep/keep.ts";
import { packFiles, unpackFiles } from "../src/keep/pack.ts";
import { draftKey, keptDraft, keptKeys } from "../src/keep/person.ts";
import { dropWaiting, Full, keepDraft, keepKey, keepWaiting, keptWaiting, maxDrafts, maxKeys, maxWaiting, maxWaitingBytes } from "../src/keep/writing.ts";
import { addFiles, changeTopic, dropFiles, forgetTopics, keptFiles, keptTopic, keptTopics, maxKept, maxPacks, maxTopicKept, maxTopics, replaceFiles } from "../src/keep/topics.ts";
import { utf8 } from "../src/protocol/bytes.ts";
import { hashOfName, type Place, placeText } from "../src/protocol/hash.ts";

const community = hashOfName("reddit");
const news: Place = { community, topic: hashOfName("/r/news") };
const gifs: Place = { community, topic: hashOfName("/r/gifs") };
const texts = (files: readonly Uint8Array[]): string[] => files.map((file) => new TextDecoder().decode(file));

describe.each<[string, () => Promise<Keep>]>([
  ["a database", () => openKeep(new IDBFactory())],
  ["memory", async () => memoryKeep()],
])("%s", (name, open) => {
  let keep: Keep;
  beforeEach(async () => {
    keep = await open();
  });

  test("keeps, changes, lists by prefix in order, and forgets", async () => {
    expect(keep.lasting).toBe(name === "a database");
    expect(await keep.get("settings", "a")).toBeUndefined();
    await keep.put("settings", "b/2", 2);
    await keep.put("settings", "b/1", { deep: [1] });
    await keep.put("settings", "c", "3");
    expect(await keep.list("settings", "b/")).toEqual([["b/1", { deep: [1] }], ["b/2", 2]]);
    expect((await keep.list("settings")).map(([key]) => key)).toEqual(["b/1", "b/2", "c"]);
    await Promise.all(Array.from({ length: 20 }, () => keep.change("settings", "n", (n) => ((n as number | undefined) ?? 0) + 1)));
    expect(await keep.get("settings", "n")).toBe(20);
    await keep.remove("settings", "c");
    expect(await keep.get("settings", "c")).toBeUndefined();
    expect(await keep.list("drafts")).toEqual([]);
  });

  test("keeps what was there when it was put", async () => {
    const value = { list: [1] };
    await keep.put("settings", "a", value);
    value.list.push(2);
    expect(await keep.get("settings", "a")).toEqual({ list: [1] });
  });

  test("keeps files of topics apart, and what is known of a topic", async () => {
    await addFiles(keep, news, [utf8("one"), utf8("two")]);
    await addFiles(keep, gifs, [utf8("three")]);
    await addFiles(keep, news, [utf8("four")]);
    expect(texts(await keptFiles(keep, news))).toEqual(["one", "two", "four"]);
    await changeTopic(keep, news, { name: "/r/news", visited: 5, followed: true });
    expect(await keptTopic(keep, news)).toMatchObject({ name: "/r/news", visited: 5, followed: true, packs: 2, bytes: 22 });
    expect((await keptTopics(keep)).map(([place]) => place)).toEqual([news, gifs]);
    await replaceFiles(keep, news, [utf8("one")]);
    expect(texts(await keptFiles(keep, news))).toEqual(["one"]);
    await dropFiles(keep, news);
    expect(await keptFiles(keep, news)).toEqual([]);
    expect(texts(await keptFiles(keep, gifs))).toEqual(["three"]);
    expect(await keptTopic(keep, news)).toMatchObject({ name: "/r/news", packs: 0, bytes: 0 });
  });

  test("makes many packs one", async () => {
    for (let i = 0; i < maxPacks * 2; i++) await addFiles(keep, news, [utf8(`n${i}`)]);
    expect(texts(await keptFiles(keep, news))).toEqual(Array.from({ length: maxPacks * 2 }, (_, i) => `n${i}`));
    expect((await keep.list("packs")).length).toBeLessThanOrEqual(maxPacks);
  });

  test("keeps no more of a topic than its share", async () => {
    const half = new Uint8Array(maxTopicKept / 2 - 4);
    await addFiles(keep, news, [half]);
    await addFiles(keep, news, [half]);
    await addFiles(keep, news, [utf8("more")]);
    expect((await keptFiles(keep, news)).length).toBe(2);
  });

  test("forgets topics nobody follows when there are too many", async () => {
    for (let i = 0; i <= maxTopics; i++) {
      await keep.put("topics", `${community}/${hashOfName(String(i))}`, { name: "", visited: i, comments: 0, bytes: 0, packs: 0, folder: "", followed: i === 0, replies: [] });
    }
    await addFiles(keep, news, [utf8("one")]);
    const left = await keptTopics(keep);
    expect(left.length).toBe(maxTopics);
    const ids = left.map(([{ topic }]) => topic);
    expect(ids).toContain(hashOfName("0"));
    expect(ids).not.toContain(hashOfName("1"));
  });

  test("keeps keys, drafts and what waits, so many", async () => {
    const seed = new Uint8Array(32).fill(7);
    await keepKey(keep, "b".repeat(64), { seed, name: "Bob", made: 2, saved: false });
    await keepKey(keep, "a".repeat(64), { seed, name: "Alice", made: 1, saved: true });
    expect((await keptKeys(keep)).map(([, { name: called }]) => called)).toEqual(["Alice", "Bob"]);
    for (let i = 2; i < maxKeys; i++) await keepKey(keep, String(i), { seed, name: "", made: 9, saved: true });
    await expect(keepKey(keep, "one more", { seed, name: "", made: 9, saved: true })).rejects.toThrow("64");
    await keepKey(keep, "b".repeat(64), { seed, name: "Robert", made: 2, saved: true });

    const key = draftKey(news, "");
    await keepDraft(keep, key, "some words", 1);
    expect(await keptDraft(keep, key)).toBe("some words");
    for (let i = 0; i < maxDrafts; i++) await keepDraft(keep, draftKey(news, String(i)), "x", 2 + i);
    expect(await keptDraft(keep, key)).toBe("");
    expect((await keep.list("drafts")).length).toBe(maxDrafts);
    await keepDraft(keep, draftKey(news, "5"), "", 9);
    expect((await keep.list("drafts")).length).toBe(maxDrafts - 1);

    await keepWaiting(keep, news, "first", { bytes: utf8("d"), at: 1, due: 0 });
    expect(await keptWaiting(keep)).toEqual([[news, "first", { bytes: utf8("d"), at: 1, due: 0 }]]);
    await dropWaiting(keep, news, "first");
    expect(await keptWaiting(keep)).toEqual([]);
  });

  test("keeps so many posts that wait, and none goes for another one", async () => {
    const one = { bytes: utf8("d"), at: 1, due: 0 };
    for (let i = 1; i < maxWaiting; i++) await keep.put("outbox", `${placeText(news)}/${i}`, one);
    await keepWaiting(keep, news, "last", one);
    await expect(keepWaiting(keep, gifs, "one more", one)).rejects.toThrow(Full);
    // One that is there already is another thing.
    await keepWaiting(keep, news, "last", { ...one, refused: { code: "denied", detail: "" } });
    expect((await keptWaiting(keep)).length).toBe(maxWaiting);
    await dropWaiting(keep, news, "7");
    await keepWaiting(keep, gifs, "one more", one);
  });

  test("keeps so many bytes of posts that wait", async () => {
    const half = { bytes: new Uint8Array(maxWaitingBytes / 2), at: 1, due: 0 };
    await keepWaiting(keep, news, "a", half);
    await keepWaiting(keep, news, "b", half);
    await keepWaiting(keep, news, "b", half);
    await expect(keepWaiting(keep, news, "c", { ...half, bytes: utf8("d") })).rejects.toThrow(Full);
  });

  test("of all topics, those that are not followed and not read for longest go first", async () => {
    const place = (i: number): Place => ({ community, topic: hashOfName(String(i)) });
    const pack = maxTopicKept - 8;
    const count = maxKept / maxTopicKept;
    for (let i = 0; i < count; i++) {
      await addFiles(keep, place(i), [new Uint8Array(pack)]);
      await changeTopic(keep, place(i), { visited: 10 + i, followed: i === 0 });
    }
    const bytesOf = async (i: number): Promise<number> => (await keptTopic(keep, place(i)))?.bytes ?? 0;
    await addFiles(keep, news, [utf8("x".repeat(64))]);
    expect(await Promise.all(Array.from({ length: count }, (_, i) => bytesOf(i)))).toEqual([pack + 4, 0, ...Array<number>(count - 2).fill(pack + 4)]);
    // When only followed ones are left, the oldest of these.
    for (let i = 1; i < count; i++) await changeTopic(keep, place(i), { followed: true });
    await changeTopic(keep, news, { followed: true, visited: 99 });
    await addFiles(keep, gifs, [new Uint8Array(pack)]);
    expect(await bytesOf(0)).toBe(0);
    expect(await bytesOf(2)).toBe(pack + 4);
    expect((await keptFiles(keep, gifs)).length).toBe(1);
  });

  test("forgets what was read, and nothing of who read it", async () => {
    const seed = new Uint8Array(32).fill(7);
    await keepKey(keep, "a".repeat(64), { seed, name: "Alice", made: 1, saved: true });
    await keepDraft(keep, draftKey(news, ""), "words", 1);
    await keepWaiting(keep, news, "first", { bytes: utf8("d"), at: 1, due: 0 });
    for (const place of [news, gifs]) await addFiles(keep, place, [utf8("one")]);
    await changeTopic(keep, news, { name: "/r/news", visited: 5, comments: 3, followed: true, replies: ["x"] });
    await keep.put("packs", `seen/${placeText(gifs)}`, "0123456789abcdef");
    await forgetTopics(keep);
    expect(await keptTopics(keep)).toMatchObject([[news, { name: "/r/news", followed: true, visited: 0, comments: 0, bytes: 0, replies: [] }]]);
    expect(await keep.list("packs")).toEqual([]);
    expect((await keptKeys(keep)).length + (await keptWaiting(keep)).length).toBe(2);
    expect(await keptDraft(keep, draftKey(news, ""))).toBe("words");
  });
});

describe("a database that", () => {
  test("is not there, is forbidden or never answers, is memory", async () => {
    expect((await openKeep({ open: () => { throw new Error("SecurityError"); } } as unknown as IDBFactory)).lasting).toBe(false);
    const failing = { open: () => { const request = {} as IDBOpenDBRequest; queueMicrotask(() => request.onerror?.(new Event("error"))); return request; } };
    expect((await openKeep(failing as unknown as IDBFactory)).lasting).toBe(false);
  });

  test("is opened again has what was kept", async () => {
    const factory = new IDBFactory();
    await (await openKeep(factory)).put("settings", "a", 1);
    expect(await (await openKeep(factory)).get("settings", "a")).toBe(1);
  });
});

test("packs give back their files, and a cut one what is whole", () => {
  const files = [utf8("one"), new Uint8Array(0), utf8("three")];
  const pack = packFiles(files);
  expect(unpackFiles(pack)).toEqual(files);
  expect(texts(unpackFiles(pack.slice(0, -1)))).toEqual(["one", ""]);
  expect(unpackFiles(pack.slice(0, 3))).toEqual([]);
  expect(unpackFiles(Uint8Array.of(255, 255, 255, 255, 1).buffer)).toEqual([]);
});
