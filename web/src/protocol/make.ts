// Folders that are made: they have the id that every server gives them. The other side of folder.ts and unixfs.ts, in a
// file of its own since a page that only reads has no use for it.

import { type Bytes, concat, toHex, utf8, varint } from "./bytes.ts";
import type { Block } from "./car.ts";
import { type Cid, cidBytes, cidLength, cidOf, type Version } from "./cid.ts";
import { compare, type Hash, hashOf } from "./hash.ts";
import { slotOf } from "./slot.ts";
import { dataOf, field, leafHead, leafTail, type Link, type Node } from "./unixfs.ts";

/** n names make a sharded folder if n x (40 + CID length) is greater. */
const maxPlain = 262144;

/** The one block of a comment. */
export function leafBlock(document: Uint8Array, version: Version): Uint8Array {
  return version === 1 ? document : concat([leafHead(document.length), document, leafTail(document.length)]);
}

function numberField(tag: number, n: number): Uint8Array {
  return Uint8Array.of(tag, ...varint(n));
}

export function encodeNode({ sharded, links }: Node): Bytes {
  const fields = links.flatMap(({ name, cid, size }) =>
    field(0x12, concat([...field(0x0a, cidBytes(cid)), ...field(0x12, utf8(name)), numberField(0x18, size)])),
  );
  return concat([...fields, dataOf({ sharded, links })]);
}

/** What a folder that is made has under a name. */
export interface Entry {
  readonly name: Hash;
  readonly cid: Cid;
  /** The bytes of the block and of all below it. */
  readonly size: number;
}

/**
 * The id of the folder of entries whose slots differ, and its size; emit gets its directory nodes, those below first.
 * See listed for entries whose slots may be equal.
 */
export function makeFolder(entries: readonly Entry[], version: Version, emit?: (block: Block) => void): Omit<Entry, "name"> {
  const node = (sharded: boolean, links: readonly Link[]): Omit<Entry, "name"> => {
    const bytes = encodeNode({ sharded, links });
    const cid = cidOf(bytes, version, "dag-pb");
    emit?.({ cid, bytes });
    return { cid, size: links.reduce((sum, { size }) => sum + size, bytes.length) };
  };
  const sorted = [...entries].sort((a, b) => compare(a.name, b.name));
  if (sorted.length * (40 + cidLength(version)) <= maxPlain) return node(false, sorted);
  // As deep as slots are long, so it may call itself.
  const shard = (slotted: readonly { slot: Uint8Array; entry: Entry }[], level: number): Omit<Entry, "name"> => {
    const places = new Map<number, { slot: Uint8Array; entry: Entry }[]>();
    for (const each of slotted) {
      const index = each.slot[level];
      if (index === undefined) throw new RangeError("two names of one slot in a folder");
      places.set(index, [...(places.get(index) ?? []), each]);
    }
    const links = [...places].sort(([a], [b]) => a - b).map(([index, here]): Link => {
      const name = index.toString(16).toUpperCase().padStart(2, "0");
      const [first] = here;
      if (first !== undefined && here.length === 1) return { ...first.entry, name: name + first.entry.name };
      return { ...shard(here, level + 1), name };
    });
    return node(true, links);
  };
  return shard(sorted.map((entry) => ({ slot: slotOf(entry.name), entry })), 0);
}

/** What a topic's folder has for a comment, and the block for a CAR. */
export function leafOf(bytes: Uint8Array, version: Version): { entry: Entry; block: Block } {
  const block = leafBlock(bytes, version);
  const cid = cidOf(block, version, version === 1 ? "raw" : "dag-pb");
  return { entry: { name: hashOf(bytes), cid, size: block.length }, block: { cid, bytes: block } };
}

/** The comments that a topic's folder lists: of those with one slot the one of the smallest name. */
export function listed(entries: readonly Entry[]): Entry[] {
  const bySlot = new Map<string, Entry>();
  for (const entry of entries) {
    const slot = toHex(slotOf(entry.name));
    const other = bySlot.get(slot);
    if (other === undefined || entry.name < other.name) bySlot.set(slot, entry);
  }
  return [...bySlot.values()];
}

/** The id of the folder of a topic's comments. */
export function topicId(comments: Iterable<Uint8Array>, version: Version): Cid {
  return makeFolder(listed([...comments].map((bytes) => leafOf(bytes, version).entry)), version).cid;
}
