// A folder's CAR, made of what is kept, for other readers' pages. It is the folder that a server gave, to the byte: its id
// is made again of the files, and without the same id there is nothing to give.

import { openKeep } from "../keep/keep.ts";
import { keptFiles } from "../keep/topics.ts";
import { concat, toHex, varint } from "../protocol/bytes.ts";
import { type Block, carHeader } from "../protocol/car.ts";
import { cidBytes, cidText } from "../protocol/cid.ts";
import { childrenOf, type Path } from "../protocol/folder.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { type Entry, leafOf, makeFolder } from "../protocol/make.ts";

export interface FolderQuestion {
  readonly place: Place;
  readonly id: string;
  /** What is in it; what is kept besides is no part of it. */
  readonly names: ReadonlySet<Hash>;
  /** Of the CAR with gzip. */
  readonly most: number;
}

/** A folder's CAR, depth first; undefined if these files do not make this folder. */
export function carOf(files: Iterable<Uint8Array>, id: string, names: ReadonlySet<Hash>): Uint8Array<ArrayBuffer>[] | undefined {
  const version = id.startsWith("Qm") ? 0 : 1;
  const blocks = new Map<string, Block>();
  const add = (block: Block): void => void blocks.set(toHex(block.cid.digest), block);
  // Two tabs may have kept the same file.
  const entries = new Map<Hash, Entry>();
  for (const bytes of files) {
    const { entry, block } = leafOf(bytes, version);
    if (!names.has(entry.name)) continue;
    entries.set(entry.name, entry);
    add(block);
  }
  const root = makeFolder([...entries.values()], version, add).cid;
  if (cidText(root) !== id) return undefined;
  const header = carHeader(root);
  const parts = [Uint8Array.from([...varint(header.length), ...header])];
  const write = ({ digest }: Block["cid"], path: Path | undefined): void => {
    const { cid, bytes } = blocks.get(toHex(digest)) as Block;
    const head = cidBytes(cid);
    parts.push(concat([Uint8Array.from(varint(head.length + bytes.length)), head, bytes]));
    if (path !== undefined) for (const child of childrenOf(bytes, cid, path, "topic")) write(child.cid, "path" in child ? child.path : undefined);
  };
  write(root, []);
  return parts;
}

/** The CAR with gzip, of what is kept; empty where it is not that folder, or too large. */
export async function carOfKept({ place, id, names, most }: FolderQuestion): Promise<Uint8Array> {
  try {
    const parts = carOf(await keptFiles(await openKeep(), place), id, names);
    const car = await new Response(new Blob(parts).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    if (parts !== undefined && car.byteLength <= most) return new Uint8Array(car);
  } catch {
    // As where it is too large: there is nothing to give.
  }
  return new Uint8Array(0);
}
