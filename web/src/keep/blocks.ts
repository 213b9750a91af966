// What is kept of topics, as the blocks that IPFS has of it: leaves in both forms, and the directory nodes of the folders
// that they make. Nothing is stored for it. Which file a leaf is made of is found when somebody asks for one, and of it
// only its place is remembered; directory nodes are made from the names.

import { toHex } from "../protocol/bytes.ts";
import { cidOf, type Version } from "../protocol/cid.ts";
import { type Entry, leafBlock, listed, makeFolder } from "../protocol/make.ts";
import { hashOf } from "../protocol/hash.ts";
import { sha256 } from "../protocol/sha256.ts";
import type { Keep } from "./keep.ts";
import { unpackFiles } from "./pack.ts";
import type { KeptTopic } from "./topics.ts";

export interface BlocksBounds {
  /** Comments of which it is remembered where they lie, in the topics visited last: some 20 MB of places and nodes. */
  readonly comments: number;
  /** What is asked for and not here may have been kept since: it is looked for so often. Milliseconds. */
  readonly refresh: number;
}
export const blocksBounds: BlocksBounds = { comments: 50_000, refresh: 5000 };

/** Comments hashed between two looks at what else there is to do. */
const slice = 64;

export interface Blocks {
  has(digest: Uint8Array): Promise<boolean>;
  /** The block of a SHA-256, which it was checked against. */
  get(digest: Uint8Array): Promise<Uint8Array | undefined>;
}

/** Where a leaf's file lies. */
interface Leaf {
  readonly pack: string;
  readonly at: number;
  readonly length: number;
  readonly version: Version;
}

/** What a topic has under a digest: a leaf, or the block of a directory node. */
interface Held {
  readonly topic: string;
  readonly what: Leaf | Uint8Array;
}

interface Indexed {
  /** Differs when its packs do. */
  readonly stamp: string;
  readonly comments: number;
  readonly digests: readonly string[];
}

const versions: readonly Version[] = [0, 1];

export function blocksOf(keeping: Promise<Keep>, now: () => number, pause: () => Promise<void>, bound = blocksBounds): Blocks {
  const known = new Map<string, Held>();
  const topics = new Map<string, Indexed>();
  let refreshing: Promise<void> | undefined;
  let refreshed = Number.NEGATIVE_INFINITY;
  /** The pack that was read last: who asks for one comment asks for its neighbours. */
  let last: { readonly key: string; readonly files: ArrayBuffer } | undefined;

  function forget(topic: string): void {
    for (const digest of topics.get(topic)?.digests ?? []) if (known.get(digest)?.topic === topic) known.delete(digest);
    topics.delete(topic);
    last = undefined;
  }

  async function index(topic: string, stamp: string, room: number): Promise<number> {
    const keep = await keeping;
    const packs = (await keep.list("packs", `${topic}/`)).flatMap(([key, value]) => (value instanceof ArrayBuffer ? unpackFiles(value).map((file) => ({ key, file })) : []));
    const digests: string[] = [];
    const note = (digest: Uint8Array, what: Leaf | Uint8Array): void => {
      const key = toHex(digest);
      digests.push(key);
      known.set(key, { topic, what });
    };
    const entries: Entry[][] = [[], []];
    if (packs.length <= room) {
      for (const [i, { key, file }] of packs.entries()) {
        const name = hashOf(file);
        for (const version of versions) {
          const block = leafBlock(file, version);
          const cid = cidOf(block, version, version === 1 ? "raw" : "dag-pb");
          note(cid.digest, { pack: key, at: file.byteOffset, length: file.length, version });
          entries[version]?.push({ name, cid, size: block.length });
        }
        if (i % slice === slice - 1) await pause();
      }
      for (const version of versions) {
        makeFolder(listed(entries[version] ?? []), version, ({ cid, bytes }) => note(cid.digest, bytes));
        await pause();
      }
    }
    topics.set(topic, { stamp, comments: packs.length, digests });
    return packs.length;
  }

  async function refresh(): Promise<void> {
    const list = (await (await keeping).list("topics")) as [string, KeptTopic][];
    list.sort(([, a], [, b]) => b.visited - a.visited);
    let room = bound.comments;
    const here = new Set<string>();
    for (const [topic, { bytes, packs, folder }] of list) {
      if (packs === 0) continue;
      here.add(topic);
      const stamp = `${bytes} ${packs} ${folder}`;
      const before = topics.get(topic);
      // One that had no room before may have some now.
      const isSame = before?.stamp === stamp && (before.digests.length > 0 || before.comments > room);
      if (!isSame) forget(topic);
      const comments = isSame ? before.comments : await index(topic, stamp, room);
      if (comments <= room) room -= comments;
      else if (isSame && before.digests.length > 0) forget(topic);
    }
    for (const topic of [...topics.keys()]) if (!here.has(topic)) forget(topic);
  }

  async function find(digest: Uint8Array): Promise<Held | undefined> {
    const key = toHex(digest);
    const found = known.get(key);
    if (found !== undefined) return found;
    if (refreshing === undefined && now() - refreshed >= bound.refresh) {
      refreshing = refresh().catch(() => undefined).finally(() => {
        refreshed = now();
        refreshing = undefined;
      });
    }
    await refreshing;
    return known.get(key);
  }

  return {
    has: async (digest) => (await find(digest)) !== undefined,
    async get(digest) {
      const held = await find(digest);
      if (held === undefined) return undefined;
      const { topic, what: found } = held;
      if (found instanceof Uint8Array) return found;
      if (last?.key !== found.pack) {
        const files = await (await keeping).get("packs", found.pack);
        last = files instanceof ArrayBuffer ? { key: found.pack, files } : undefined;
      }
      const files = last?.files;
      const isThere = files !== undefined && found.at + found.length <= files.byteLength;
      const block = isThere ? leafBlock(new Uint8Array(files, found.at, found.length).slice(), found.version) : undefined;
      if (block !== undefined && toHex(sha256(block)) === toHex(digest)) return block;
      // The packs are others by now: what an author deleted is gone from here, too.
      forget(topic);
      return undefined;
    },
  };
}
