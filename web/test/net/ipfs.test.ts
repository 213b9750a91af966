// Reading from the IPFS network, with a worker that stands for the real one: e2e/ipfs.mjs has that.

import { afterEach, describe, expect, test, vi } from "vitest";
import type { Net } from "../../src/net/net.ts";
import { concat, utf8, varint } from "../../src/protocol/bytes.ts";
import { type Block, carHeader } from "../../src/protocol/car.ts";
import { cidBytes, cidText, type Version } from "../../src/protocol/cid.ts";
import { parseCid } from "../../src/protocol/cidtext.ts";
import { leafOf, listed, makeFolder } from "../../src/protocol/make.ts";
import { hashOf, hashOfName, type Place, placeText } from "../../src/protocol/hash.ts";
import type { FromPeer, ToPeer } from "../../src/workers/messages.ts";
import { open, type Seen, watch } from "./watch.ts";

const topic: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const soon = { grace: 20, tick: 60, stall: 500 };
let nets: Net[] = [];
afterEach(() => {
  for (const net of nets.splice(0)) net.close();
});

function folderOf(n: number, version: Version): { id: string; blocks: Map<string, Block>; bodies: Uint8Array[] } {
  const bodies = Array.from({ length: n }, (_, i) => utf8(`comment ${i}`));
  const leaves = bodies.map((bytes) => leafOf(bytes, version));
  const blocks = new Map<string, Block>();
  const add = (block: Block): void => void blocks.set(cidText(block.cid), block);
  for (const { block } of leaves) add(block);
  return { id: cidText(makeFolder(listed(leaves.map(({ entry }) => entry)), version, add).cid), blocks, bodies };
}

type Answerer = (question: ToPeer) => Omit<Extract<FromPeer, { n: number }>, "n"> | undefined;

class Fake {
  onmessage: ((event: { data: FromPeer }) => void) | null = null;
  onerror: (() => void) | null = null;
  readonly asked: ToPeer[] = [];
  ended = false;
  constructor(readonly answer: Answerer) {}
  postMessage(question: ToPeer): void {
    this.asked.push(question);
    const found = this.answer(question);
    if (found !== undefined) queueMicrotask(() => this.onmessage?.({ data: { n: question.n, ...found } }));
  }
  terminate(): void {
    this.ended = true;
  }
}

/** What the worker would answer: the blocks that it has of those asked for. */
function car(cids: readonly string[], blocks: ReadonlyMap<string, Block>): ArrayBuffer {
  const root = parseCid(cids[0] ?? "");
  if (root === undefined) throw new Error("no root");
  const header = carHeader(root);
  return concat([
    Uint8Array.of(...varint(header.length)), header,
    ...cids.flatMap((cid) => {
      const block = blocks.get(cid);
      if (block === undefined) return [];
      const id = cidBytes(block.cid);
      return [Uint8Array.of(...varint(id.length + block.bytes.length)), id, block.bytes];
    }),
  ]).buffer;
}

function page(answer: Answerer, folders: readonly string[] = []): { net: Net; fakes: Fake[] } {
  const fakes: Fake[] = [];
  const net = open({ folders }, {
    bounds: soon,
    peer: () => {
      const fake = new Fake(answer);
      fakes.push(fake);
      return fake as unknown as Worker;
    },
  });
  nets.push(net);
  return { net, fakes };
}

/** Waits for what no call to a sink tells of. */
const isSo = (holds: () => boolean): Promise<boolean> => vi.waitUntil(holds, { timeout: 60_000, interval: 10 });
const all = (n: number) => ({ bodies }: Seen): boolean => bodies.size === n;
const isLost = ({ states }: Seen): boolean => states.at(-1) === "unreachable";

describe("with no server", () => {
  test.each<[string, Version, number]>([["a plain folder", 0, 40], ["one of version 1", 1, 40], ["a sharded one", 0, 4000]])("%s is read whole", async (_, version, n) => {
    const { id, blocks, bodies } = folderOf(n, version);
    const { net, fakes } = page(({ root, cids }) => (root === undefined ? {} : { car: car(cids, blocks) }), [`${placeText(topic)}/${id}`]);
    const seen = watch();
    net.read(topic, new Set(), seen);
    await seen.until("all", all(n));
    await seen.until("the folder", ({ folders }) => folders.length > 0);
    await seen.until("the end", isLost);
    expect([...seen.bodies.keys()].sort()).toEqual(bodies.map(hashOf).sort());
    expect(seen.folders).toEqual([id]);
    expect(seen.totals).toEqual([n]);
    // No server agrees with it.
    expect(seen.agreements).toEqual([]);
    expect(seen.states).not.toContain("live");
    expect(fakes.length).toBe(1);
    expect(fakes[0]?.asked.every(({ root, cids }) => root === id && cids.length <= 512)).toBe(true);
  });

  test("the site may know the id", async () => {
    const { id, blocks } = folderOf(5, 0);
    const { net } = page(({ topic: of, root, cids }) => (root === undefined ? { id: of === placeText(topic) ? id : "" } : { car: car(cids, blocks) }));
    const seen = watch();
    net.read(topic, new Set(), seen);
    await seen.until("all", all(5));
  });

  test("an id of another topic is nothing to this one", async () => {
    const { id } = folderOf(5, 0);
    const other = { ...topic, topic: hashOfName("/r/gifs") };
    const { net, fakes } = page(() => ({ id: "" }), [`${placeText(other)}/${id}`]);
    const seen = watch();
    net.read(topic, new Set(), seen);
    await isSo(() => (fakes[0]?.asked.length ?? 0) > 1);
    expect(fakes[0]?.asked.some(({ root }) => root !== undefined)).toBe(false);
    expect(seen.states.at(-1)).toBe("unreachable");
  });

  test("what is here of a folder is shown, and the folder is not told to be", async () => {
    const { id, blocks, bodies } = folderOf(30, 0);
    const missing = cidText(leafOf(bodies[7] as Uint8Array, 0).block.cid);
    blocks.delete(missing);
    const { net } = page(({ root, cids }) => (root === undefined ? {} : { car: car(cids, blocks) }), [`${placeText(topic)}/${id}`]);
    const seen = watch();
    net.read(topic, new Set(), seen);
    await seen.until("most", all(29));
    await seen.until("the end", isLost);
    expect(seen.folders).toEqual([]);
  });

  test("false blocks are not taken", async () => {
    const { id, blocks } = folderOf(30, 0);
    for (const [cid, { cid: parsed, bytes }] of blocks) {
      const changed = Uint8Array.from(bytes);
      changed[changed.length >> 1] = (changed[changed.length >> 1] as number) ^ 1;
      if (cid !== id) blocks.set(cid, { cid: parsed, bytes: changed });
    }
    const { net, fakes } = page(({ root: of, cids }) => (of === undefined ? {} : { car: car(cids, blocks) }), [`${placeText(topic)}/${id}`]);
    const seen = watch();
    net.read(topic, new Set(), seen);
    // The leaves were asked for, and it was tried again.
    await isSo(() => (fakes[0]?.asked.filter(({ cids }) => cids.length > 1).length ?? 0) > 1);
    expect(seen.bodies.size).toBe(0);
  });

  test("a worker that fails costs nothing but the IPFS network", async () => {
    const { net, fakes } = page(() => undefined, [`${placeText(topic)}/${folderOf(3, 0).id}`]);
    const seen = watch();
    net.read(topic, new Set(), seen);
    await isSo(() => fakes[0]?.asked.length === 1);
    fakes[0]?.onerror?.();
    expect(fakes[0]?.ended).toBe(true);
    expect(net.ipfs()).toBeUndefined();
    // Another topic would have it asked by then.
    const other = watch();
    net.read({ ...topic, topic: hashOfName("/r/gifs") }, new Set(), other);
    await other.until("the end", isLost);
    expect(fakes.length).toBe(1);
    expect(seen.states).toEqual(["searching", "unreachable"]);
  });

  test("a worker that was ended comes again when it is wanted, and tells what it does", async () => {
    const { id, blocks } = folderOf(3, 0);
    const { net, fakes } = page(({ root, cids }) => (root === undefined ? {} : { car: car(cids, blocks) }), [`${placeText(topic)}/${id}`]);
    net.useIPFS(true);
    net.useIPFS(true);
    expect(fakes.length).toBe(1);
    fakes[0]?.onmessage?.({ data: { view: { peers: 1, got: 2, given: 3 } } });
    expect(net.ipfs()).toEqual({ peers: 1, got: 2, given: 3 });
    net.useIPFS(false);
    expect(net.ipfs()).toBeUndefined();
    const seen = watch();
    net.read(topic, new Set(), seen);
    await seen.until("the end", isLost);
    expect(fakes.length).toBe(1);
    net.useIPFS(true);
    await seen.until("all", all(3));
    expect(fakes.length).toBe(2);
  });

  test("a page that may have no node has none", async () => {
    const net = open({ folders: [`${placeText(topic)}/${folderOf(3, 0).id}`] }, { bounds: soon });
    nets.push(net);
    const seen = watch();
    net.read(topic, new Set(), seen);
    net.useIPFS(true);
    await seen.until("the end", isLost);
    expect(net.ipfs()).toBeUndefined();
  });
});
