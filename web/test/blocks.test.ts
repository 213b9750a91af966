import { describe, expect, test } from "vitest";
import { blocksBounds, blocksOf } from "../src/keep/blocks.ts";
import { type Keep, memoryKeep } from "../src/keep/keep.ts";
import { addFiles, changeTopic, dropFiles, replaceFiles } from "../src/keep/topics.ts";
import { utf8 } from "../src/protocol/bytes.ts";
import { cidOf, cidText, type Version } from "../src/protocol/cid.ts";
import { parseCid } from "../src/protocol/cidtext.ts";
import { type Child, childrenOf, openLeaf } from "../src/protocol/folder.ts";
import { hashOfName, type Place } from "../src/protocol/hash.ts";
import { leafOf, topicId } from "../src/protocol/make.ts";
import { sha256 } from "../src/protocol/sha256.ts";
import { give, givenBounds } from "../src/workers/given.ts";
import { readVectors } from "./vectors.ts";

const vectors = readVectors<{
  topics: { comments: number; v0: string; v1: string }[];
  leaves: { bytes: number; v0: string; v1: string }[];
}>("folders.json");
const community = hashOfName("reddit");
const at = (name: string): Place => ({ community, topic: hashOfName(name) });
const versions: readonly Version[] = [0, 1];

/** Comment i of the vectors' comment_rule. */
const comment = (i: number): Uint8Array => utf8(`comment ${i}: ${"lorem ipsum ".repeat(20)}`.slice(0, 200));
const comments = (n: number, from = 0): Uint8Array[] => Array.from({ length: n }, (_, i) => comment(from + i));
const digestOf = (id: string): Uint8Array => parseCid(id)?.digest ?? new Uint8Array(0);

async function kept(topics: Readonly<Record<string, readonly Uint8Array[]>>): Promise<Keep> {
  const keep = memoryKeep();
  let visited = 1;
  for (const [name, files] of Object.entries(topics)) {
    for (let from = 0; from < files.length; from += 1000) expect(await addFiles(keep, at(name), files.slice(from, from + 1000))).toBe(true);
    await changeTopic(keep, at(name), { visited: visited++ });
  }
  return keep;
}

function open(keep: Keep, bound = blocksBounds): { blocks: ReturnType<typeof blocksOf>; pass(millis: number): void } {
  let time = 0;
  return { blocks: blocksOf(Promise.resolve(keep), () => time, async () => undefined, bound), pass: (millis) => void (time += millis) };
}

describe("what is kept, as blocks", () => {
  test.each(vectors.topics.filter(({ comments }) => comments > 0 && comments <= 10_000))("the folder of $comments comments is there whole, in both forms", async ({ comments: n, v0, v1 }) => {
    const { blocks } = open(await kept({ a: comments(n) }));
    for (const id of [v0, v1]) {
      const root = parseCid(id);
      if (root === undefined) throw new Error(id);
      const todo: Child[] = [{ cid: root, path: [] }];
      const names = new Set<string>();
      for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
        const block = await blocks.get(next.cid.digest);
        expect(block !== undefined && cidText(cidOf(block, next.cid.version, next.cid.codec))).toBe(cidText(next.cid));
        // openLeaf compares the bytes with the name.
        if ("name" in next) names.add(openLeaf(block as Uint8Array, next.cid, next.name).id);
        else todo.push(...childrenOf(block as Uint8Array, next.cid, next.path, "topic"));
      }
      expect(names.size).toBe(n);
    }
  });

  test("leaves of all sizes have the ids that Kubo gives them", async () => {
    const files = vectors.leaves.filter(({ bytes }) => bytes > 0 && bytes <= 65536).map(({ bytes }) => utf8("0123456789abcdef".repeat(Math.ceil(bytes / 16)).slice(0, bytes)));
    const { blocks } = open(await kept({ a: files }));
    const ids = vectors.leaves.filter(({ bytes }) => bytes > 0 && bytes <= 65536).flatMap(({ v0, v1 }) => [v0, v1]);
    expect(ids.length).toBeGreaterThan(10);
    for (const id of ids) {
      expect(await blocks.has(digestOf(id))).toBe(true);
      expect([...sha256((await blocks.get(digestOf(id))) ?? new Uint8Array(0))]).toEqual([...digestOf(id)]);
    }
    expect(await blocks.has(new Uint8Array(32))).toBe(false);
    expect(await blocks.get(new Uint8Array(32))).toBeUndefined();
  });

  test("what is kept later is found after a while, and not looked for before", async () => {
    const keep = await kept({ a: comments(3) });
    const { blocks, pass } = open(keep);
    const [digest] = versions.map((version) => leafOf(comment(7), version).block.cid.digest) as [Uint8Array];
    expect(await blocks.has(digest)).toBe(false);
    await addFiles(keep, at("a"), [comment(7)]);
    pass(blocksBounds.refresh - 1);
    expect(await blocks.has(digest)).toBe(false);
    pass(1);
    expect(await blocks.has(digest)).toBe(true);
    expect(await blocks.has(topicId([...comments(3), comment(7)], 0).digest)).toBe(true);
  });

  test("what an author deleted is given no more, though its place is known", async () => {
    const keep = await kept({ a: comments(20), b: comments(5, 100) });
    const { blocks, pass } = open(keep);
    const digest = leafOf(comment(3), 0).block.cid.digest;
    expect(await blocks.get(digest)).toBeDefined();
    await replaceFiles(keep, at("a"), comments(20).filter((_, i) => i !== 3));
    // Another topic is read between, so that the old pack is not at hand.
    expect(await blocks.get(leafOf(comment(101), 1).block.cid.digest)).toBeDefined();
    expect(await blocks.get(digest)).toBeUndefined();
    pass(blocksBounds.refresh);
    expect(await blocks.has(digest)).toBe(false);
    expect(await blocks.has(topicId(comments(20), 0).digest)).toBe(false);
    expect(await blocks.get(leafOf(comment(4), 0).block.cid.digest)).toBeDefined();
    await dropFiles(keep, at("a"));
    pass(blocksBounds.refresh);
    expect(await blocks.has(new Uint8Array(32))).toBe(false);
    expect(await blocks.has(leafOf(comment(4), 0).block.cid.digest)).toBe(false);
    expect(await blocks.has(leafOf(comment(101), 1).block.cid.digest)).toBe(true);
  });

  test("the topics visited last have the room that there is", async () => {
    const keep = await kept({ old: comments(6), middle: comments(5, 100), latest: comments(6, 200) });
    const { blocks, pass } = open(keep, { comments: 12, refresh: 10 });
    const has = async (): Promise<boolean[]> => {
      const all: boolean[] = [];
      for (const i of [0, 100, 200]) all.push(await blocks.has(leafOf(comment(i), 1).block.cid.digest));
      return all;
    };
    expect(await has()).toEqual([false, true, true]);
    await changeTopic(keep, at("old"), { visited: 9 });
    pass(10);
    expect(await has()).toEqual([true, false, true]);
  });
});

describe("what is given", () => {
  const block = new Uint8Array(1000);
  const from = { has: async () => true, get: async () => block };

  function giver(bound: Partial<typeof givenBounds>): { given: ReturnType<typeof give>; now: () => number } {
    let time = 0;
    const wait = async (millis: number): Promise<void> => void (time += millis);
    return { given: give(from, () => time, wait, { ...givenBounds, ...bound }), now: () => time };
  }

  test("comes no faster than so many blocks a second", async () => {
    const { given, now } = giver({ blocks: 10, bytes: 1 << 30 });
    for (let i = 0; i <= 30; i++) await given.get(block);
    expect(now()).toBeCloseTo(3000);
    expect(given.count).toBe(31);
  });

  test("and no faster than so many bytes", async () => {
    const { given, now } = giver({ blocks: 1e6, bytes: 10_000 });
    for (let i = 0; i <= 30; i++) await given.get(block);
    expect(now()).toBeCloseTo(3000);
  });

  test("ends with so many bytes in all", async () => {
    const { given } = giver({ total: 5000 });
    for (let i = 0; i < 5; i++) expect(await given.get(block)).toBe(block);
    expect(await given.has(block)).toBe(false);
    expect(await given.get(block)).toBeUndefined();
    expect(given.count).toBe(5);
  });
});
