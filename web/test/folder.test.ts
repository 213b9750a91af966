import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex, utf8, varint } from "../src/protocol/bytes.ts";
import { type Block, carHeader, maxCar } from "../src/protocol/car.ts";
import { type Cid, cidBytes, cidOf, cidText, type Version } from "../src/protocol/cid.ts";
import { parseCid } from "../src/protocol/cidtext.ts";
import { type Child, childrenOf, type Found, openFolder } from "../src/protocol/folder.ts";
import { type Hash, hashOf, hashOfName } from "../src/protocol/hash.ts";
import { Lie } from "../src/protocol/lie.ts";
import { encodeNode, type Entry, leafBlock, leafOf, listed, makeFolder, topicId } from "../src/protocol/make.ts";
import { parseDocument } from "../src/protocol/parse.ts";
import { slotOf } from "../src/protocol/slot.ts";
import { leafBytes, type Link, maxLeaf, maxNode, parseNode } from "../src/protocol/unixfs.ts";
import { place, readVectors } from "./vectors.ts";

interface Ids {
  readonly v0: string;
  readonly v1: string;
}

const vectors = readVectors<{
  topics: (Ids & { comments: number })[];
  communities: (Ids & { topics: number })[];
  seed: { community: Ids; "/r/news": Ids; "/r/gifs": Ids };
  leaves: (Ids & { bytes: number })[];
}>("folders.json");
const slots = readVectors<{ names: { text: string; name: string; slot: string }[]; same: string[][] }>("slots.json");
const versions: readonly Version[] = [0, 1];

/** Comment i of the vectors' comment_rule. */
function comment(i: number): Uint8Array {
  return utf8(`comment ${i}: ${"lorem ipsum ".repeat(20)}`.slice(0, 200));
}

const comments = Array.from({ length: 20000 }, (_, i) => comment(i));
const entries = versions.map((version) => comments.map((bytes) => leafOf(bytes, version).entry));

function entriesOf(n: number, version: Version): Entry[] {
  return (entries[version] as Entry[]).slice(0, n);
}

function ids(id: (version: Version) => Cid): Ids {
  return { v0: cidText(id(0)), v1: cidText(id(1)) };
}

/** A CAR of blocks in an order, in chunks of some size. */
async function* car(root: Cid, blocks: readonly Block[], chunk = 1000): AsyncGenerator<Uint8Array> {
  const header = carHeader(root);
  const all = concat([
    Uint8Array.of(...varint(header.length)),
    header,
    ...blocks.flatMap(({ cid, bytes }) => [Uint8Array.of(...varint(cidBytes(cid).length + bytes.length)), cidBytes(cid), bytes]),
  ]);
  for (let at = 0; at < all.length; at += chunk) yield all.subarray(at, at + chunk);
}

/** The blocks of a topic's folder, depth first. */
function blocksOf(bodies: readonly Uint8Array[], version: Version): { root: Cid; blocks: Block[] } {
  const known = new Map<string, Block>();
  const leaves = bodies.map((bytes) => leafOf(bytes, version));
  for (const { block } of leaves) known.set(toHex(block.cid.digest), block);
  const root = makeFolder(leaves.map(({ entry }) => entry), version, (block) => known.set(toHex(block.cid.digest), block)).cid;
  const blocks: Block[] = [];
  const open: Child[] = [{ cid: root, path: [] }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const block = known.get(toHex(next.cid.digest)) as Block;
    blocks.push(block);
    if ("path" in next) open.push(...childrenOf(block.bytes, block.cid, next.path, "topic").reverse());
  }
  return { root, blocks };
}

async function read(root: Cid, chunks: AsyncIterable<Uint8Array>, max?: number): Promise<Found[]> {
  const found: Found[] = [];
  for await (const each of (await openFolder(chunks, root, max)).comments) found.push(each);
  return found;
}

describe("folders.json", () => {
  test.each(vectors.topics)("a topic of $comments comments", ({ comments: n, v0, v1 }) => {
    expect(ids((version) => makeFolder(entriesOf(n, version), version).cid)).toEqual({ v0, v1 });
  });

  test.each(vectors.communities)("a community of $topics topics", ({ topics, v0, v1 }) => {
    const id = (version: Version): Cid => {
      const each = entriesOf(topics, version).map((entry, t) => ({ name: hashOfName(`topic-${t}`), ...makeFolder([entry], version) }));
      return makeFolder(each, version).cid;
    };
    expect(ids(id)).toEqual({ v0, v1 });
  });

  test("the seed's tree", () => {
    const news = ["That's bs!", "Cool!"].map(utf8);
    const { seed } = vectors;
    expect(ids((version) => topicId(news, version))).toEqual(seed["/r/news"]);
    expect(ids((version) => topicId([], version))).toEqual(seed["/r/gifs"]);
    const community = (version: Version): Cid =>
      makeFolder(
        [
          { name: hashOfName("/r/news"), ...makeFolder(news.map((bytes) => leafOf(bytes, version).entry), version) },
          { name: hashOfName("/r/gifs"), ...makeFolder([], version) },
        ],
        version,
      ).cid;
    expect(ids(community)).toEqual({ v0: seed.community.v0, v1: seed.community.v1 });
  });

  test.each(vectors.leaves)("a leaf of $bytes bytes", ({ bytes: n, v0, v1 }) => {
    const bytes = utf8("0123456789abcdef".repeat(Math.ceil(n / 16)).slice(0, n));
    expect(ids((version) => leafOf(bytes, version).entry.cid)).toEqual({ v0, v1 });
    for (const version of versions) {
      const block = leafBlock(bytes, version);
      expect(block.length).toBeLessThanOrEqual(maxLeaf);
      expect(toHex(leafBytes(block, version))).toBe(toHex(bytes));
    }
  });

  test.each([v0v1(3542), v0v1(3543), v0v1(0), v0v1(5000)])("the CAR of %i comments reads back", async (n, wanted) => {
    for (const version of versions) {
      const { root, blocks } = blocksOf(comments.slice(0, n), version);
      expect(cidText(root)).toBe(version === 0 ? wanted?.v0 : wanted?.v1);
      const found = await read(root, car(root, blocks, 65536));
      expect(found.map(({ id }) => id).sort()).toEqual(entriesOf(n, version).map(({ name }) => name).sort());
    }
  });
});

function v0v1(n: number): [number, Ids | undefined] {
  return [n, vectors.topics.find((each) => each.comments === n)];
}

describe("slots.json", () => {
  test.each(slots.names)("$text", ({ text, name, slot }) => {
    expect(hashOf(utf8(text))).toBe(name);
    expect(toHex(slotOf(name))).toBe(slot);
  });

  test.each(slots.same)("of two names of one slot a topic lists the smaller one", (a, b) => {
    const cid = cidOf(utf8("x"), 0, "dag-pb");
    const pair = [a as Hash, b as Hash].map((name) => ({ name, cid, size: 1 }));
    expect(listed(pair)).toEqual(listed([...pair].reverse()));
    expect(listed(pair).map(({ name }) => name)).toEqual([[a, b].sort()[0]]);
    // Where both are put into a sharded folder all the same, there is none.
    expect(() => makeFolder([...entriesOf(4000, 0), ...pair], 0)).toThrow(RangeError);
  });
});

describe("SPEC.md's bytes", () => {
  test("a shard of two comments", () => {
    const links = ["That's bs!", "Cool!"].map((text): Link => {
      const { entry } = leafOf(utf8(text), 0);
      return { ...entry, name: toHex(slotOf(entry.name)).slice(0, 2).toUpperCase() + entry.name };
    });
    const block = encodeNode({ sharded: true, links });
    expect(block.length).toBe(193);
    expect(cidText(cidOf(block, 0, "dag-pb"))).toBe("QmY8j3RtDKt19XEbEM957cjYDHnJCy6HZBtFPQVonsJMip");
    expect(parseNode(block, 0)).toEqual({ sharded: true, links });
  });

  test("a CAR of one comment", async () => {
    const bytes = fromHex(
      ("38 a265726f6f747381d82a582300 12209d50cf2f1333c18f83ff78e346bd01088b8093ca193e05916e1bc1fa94ce2141 6776657273696f6e01" +
        "78 12209d50cf2f1333c18f83ff78e346bd01088b8093ca193e05916e1bc1fa94ce2141 12500a2212208cdcd1b02f52ecb2616b7097d8003d92" +
        "ab64e1e940a5ff2c7a28f20a79b2d17b1228 33333735343234346330323236356463323464666563393164363461343834313065633234383331" +
        "180d0a020801 2f 12208cdcd1b02f52ecb2616b7097d8003d92ab64e1e940a5ff2c7a28f20a79b2d17b 0a0b08021205436f6f6c211805").replaceAll(" ", ""),
    );
    expect(bytes.length).toBe(226);
    const root = topicId([utf8("Cool!")], 0);
    // Byte by byte, as the worst network would.
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (const byte of bytes) yield Uint8Array.of(byte);
    };
    const [found, ...others] = await read(root, chunks());
    expect(others).toEqual([]);
    expect(found?.id).toBe("33754244c02265dc24dfec91d64a48410ec24831");
    expect(parseDocument(found?.bytes as Uint8Array, place(`${hashOfName("reddit")}/${hashOfName("/r/news")}`), found?.sum)).toHaveProperty("id", found?.id);
    for (let n = 0; n < bytes.length; n++) {
      const cut = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, n);
      };
      await expect(read(root, cut()), `cut after ${n} bytes`).rejects.toThrow(Lie);
    }
  });

  test("CIDs have one spelling", () => {
    for (const text of [vectors.seed.community.v0, vectors.seed.community.v1, vectors.leaves[0]?.v1 as string]) {
      expect(cidText(parseCid(text) as Cid)).toBe(text);
    }
    const { v0, v1 } = vectors.seed.community;
    for (const text of ["", "Qm", "b", v0 + "1", v1 + "a", v1.toUpperCase(), "B" + v1.slice(1).toUpperCase(), v0.replace("Q", "1Q"), v1.slice(0, -1) + "b", `${v0}\n`, "Q".repeat(200), "bafkqaaa"]) {
      expect(parseCid(text), text).toBeUndefined();
    }
  });
});

describe("what a folder's reader refuses", () => {
  const few = comments.slice(0, 3);
  const leaves = few.map((bytes) => leafOf(bytes, 0));
  const byName = leaves.map(({ entry }) => entry).sort((a, b) => (a.name < b.name ? -1 : 1));

  /** Reads a folder of this root block and of the leaves that it names. */
  async function readWith(root: Uint8Array, below: readonly Block[], version: Version = 0): Promise<Found[]> {
    const cid = cidOf(root, version, "dag-pb");
    return read(cid, car(cid, [{ cid, bytes: root }, ...below]));
  }

  function leafOfName(name: string): Block {
    return (leaves.find(({ entry }) => entry.name === name) as (typeof leaves)[0]).block;
  }

  const sorted = byName.map(({ name }) => leafOfName(name));
  const good = encodeNode({ sharded: false, links: byName });

  test("nothing of a good one", async () => {
    expect(await readWith(good, sorted)).toHaveLength(3);
  });

  const changed = (change: (bytes: number[]) => void): Uint8Array => {
    const bytes = [...good];
    change(bytes);
    return Uint8Array.from(bytes);
  };

  test.each<[string, Uint8Array, Block[]]>([
    ["names in another order", encodeNode({ sharded: false, links: [...byName].reverse() }), [...sorted].reverse()],
    ["a name twice", encodeNode({ sharded: false, links: [byName[0], byName[0]] as Link[] }), [sorted[0], sorted[0]] as Block[]],
    ["a name that is no hash", encodeNode({ sharded: false, links: [{ ...(byName[0] as Entry), name: ".ipfs" }] }), sorted.slice(0, 1)],
    ["a name in upper case", encodeNode({ sharded: false, links: [{ ...(byName[0] as Entry), name: (byName[0] as Entry).name.toUpperCase() }] }), sorted.slice(0, 1)],
    ["another's name", encodeNode({ sharded: false, links: [{ ...(byName[0] as Entry), name: (byName[1] as Entry).name }] }), sorted.slice(0, 1)],
    ["Data first", concat([good.subarray(-4), good.subarray(0, -4)]), sorted],
    ["a field more", concat([good, Uint8Array.of(0x18, 0x00)]), sorted],
    ["another type of UnixFS", changed((bytes) => { bytes[bytes.length - 1] = 2; }), sorted],
    ["a length that is not the shortest", changed((bytes) => bytes.splice(1, 1, (bytes[1] as number) | 0x80, 0x00)), sorted],
    ["a link cut", good.subarray(0, 20), []],
    ["an empty block", new Uint8Array(0), []],
    ["an empty shard", encodeNode({ sharded: true, links: [] }), []],
    ["a CID of version 1 in a folder of version 0", encodeNode({ sharded: false, links: few.slice(0, 1).map((bytes) => leafOf(bytes, 1).entry) }), few.slice(0, 1).map((bytes) => leafOf(bytes, 1).block)],
    ["a directory for a comment", encodeNode({ sharded: false, links: [{ ...(byName[0] as Entry), cid: cidOf(Uint8Array.of(0x0a, 2, 8, 1), 0, "dag-pb") }] }), [{ cid: cidOf(Uint8Array.of(0x0a, 2, 8, 1), 0, "dag-pb"), bytes: Uint8Array.of(0x0a, 2, 8, 1) }]],
  ])("%s", async (_, root, below) => {
    await expect(readWith(root, below)).rejects.toThrow(Lie);
  });

  test("a block of another CID, one too many, one too few, and another order", async () => {
    const { root, blocks } = blocksOf(few, 0);
    const [first, second, third, fourth] = blocks as [Block, Block, Block, Block];
    for (const lie of [
      [first, second, third, { cid: fourth.cid, bytes: second.bytes }],
      [...blocks, fourth],
      blocks.slice(0, 3),
      [first, third, second, fourth],
      [second],
      [],
    ]) {
      await expect(read(root, car(root, lie))).rejects.toThrow(Lie);
    }
    await expect(read(second.cid, car(root, blocks))).rejects.toThrow("another folder");
    // 3 leaves and a node are more than 700 bytes.
    await expect(read(root, car(root, blocks), 700)).rejects.toThrow("more than 700 bytes");
    expect(maxCar).toBe(256 * 1024 * 1024);
  });

  test("a name in another's shard", async () => {
    const { entry, block } = leaves[0] as (typeof leaves)[0];
    const at = toHex(slotOf(entry.name)).slice(0, 2).toUpperCase();
    const shard = (index: string): Uint8Array => encodeNode({ sharded: true, links: [{ ...entry, name: index + entry.name }] });
    expect(await readWith(shard(at), [block])).toHaveLength(1);
    await expect(readWith(shard(at === "00" ? "01" : "00"), [block])).rejects.toThrow("another's shard");
  });

  test("a plain directory within a sharded one", async () => {
    const { entry, block } = leaves[0] as (typeof leaves)[0];
    const plain = encodeNode({ sharded: false, links: [entry] });
    const below = { cid: cidOf(plain, 0, "dag-pb"), bytes: plain };
    const name = toHex(slotOf(entry.name)).slice(0, 2).toUpperCase();
    await expect(readWith(encodeNode({ sharded: true, links: [{ name, cid: below.cid, size: 1 }] }), [below, block])).rejects.toThrow("a plain directory");
  });

  test("a comment under the CID of another block", async () => {
    const { entry, block } = leaves[0] as (typeof leaves)[0];
    const cid = cidOf(utf8("another"), 0, "dag-pb");
    const lie = { cid, bytes: block.bytes };
    await expect(readWith(encodeNode({ sharded: false, links: [{ ...entry, cid }] }), [lie])).rejects.toThrow("not the one of its CID");
  });

  test("a shard whose bitfield is another's, and a link that has more", () => {
    const { entry } = leaves[0] as (typeof leaves)[0];
    const shard = encodeNode({ sharded: true, links: [{ ...entry, name: "07" + entry.name }] });
    expect(parseNode(shard, 0).links).toHaveLength(1);
    // Data of 0a 0a: 08 05 12 01 80 28 22 30 80 02.
    expect(toHex(shard.subarray(-12))).toBe("0a0a0805120180282230" + "8002");
    for (const [at, byte] of [[-6, 0x40], [-6, 0x81], [-4, 0x23], [-2, 0x81], [-1, 0x04]] as const) {
      const other = Uint8Array.from(shard);
      other[other.length + at] = byte;
      expect(() => parseNode(other, 0), `${at}: ${byte}`).toThrow(Lie);
    }
    // A field behind Tsize, counted in the link's length.
    const plain = encodeNode({ sharded: false, links: [entry] });
    const longer = concat([Uint8Array.of(0x12, (plain[1] as number) + 2), plain.subarray(2, -4), Uint8Array.of(0x20, 0x00), plain.subarray(-4)]);
    expect(() => parseNode(longer, 0)).toThrow(Lie);
  });

  test("a folder of nine levels", async () => {
    const { entry, block } = leaves[0] as (typeof leaves)[0];
    const indexes = toHex(slotOf(entry.name)).toUpperCase().match(/../g) as string[];
    /** A shard of one link under another, so many levels in all. */
    const chain = (levels: number): Block[] => {
      const blocks: Block[] = [block];
      for (let level = levels - 1; level >= 0; level--) {
        const name = (indexes[level] ?? "00") + (level === levels - 1 ? entry.name : "");
        const bytes = encodeNode({ sharded: true, links: [{ name, cid: (blocks[0] as Block).cid, size: 1 }] });
        blocks.unshift({ cid: cidOf(bytes, 0, "dag-pb"), bytes });
      }
      return blocks;
    };
    const eight = chain(8);
    expect(await read((eight[0] as Block).cid, car((eight[0] as Block).cid, eight))).toHaveLength(1);
    const nine = chain(9);
    await expect(read((nine[0] as Block).cid, car((nine[0] as Block).cid, nine))).rejects.toThrow("the number of levels");
  });

  test("blocks that are too large", () => {
    expect(() => leafBytes(new Uint8Array(maxLeaf + 1), 1)).toThrow("a leaf's size");
    expect(() => parseNode(new Uint8Array(maxNode + 1), 1)).toThrow("a node's size");
  });

  test("raw leaves and directories do not stand for each other", () => {
    const { entry } = leafOf(utf8("Cool!"), 1);
    const node = encodeNode({ sharded: false, links: [entry] });
    const cid = cidOf(node, 1, "dag-pb");
    expect(childrenOf(node, cid, [], "topic")).toHaveLength(1);
    expect(() => childrenOf(node, cid, [], "community")).toThrow("a link's codec");
    expect(() => childrenOf(node, { ...cid, codec: "raw" }, [], "topic")).toThrow("a folder's codec");
  });
});
