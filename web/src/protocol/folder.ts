// Folders: what an id stands for. SPEC.md, section 3. A folder that is read is checked to the last byte, so a server
// can hide comments from a page but never change one. make.ts makes them.

import { toHex } from "./bytes.ts";
import { type Block, maxCar, openCar } from "./car.ts";
import { type Cid, equalCids } from "./cid.ts";
import type { Hash } from "./hash.ts";
import { must } from "./lie.ts";
import { type Sum, sha1 } from "./sha1.ts";
import { slotOf } from "./slot.ts";
import { leafBytes, maxLevels, parseNode } from "./unixfs.ts";

export type FolderKind = "topic" | "community";

/** Where a directory node stands: the indexes that lead to it from the root. */
export type Path = readonly number[];

/** What a link leads to: a comment or a topic, or a shard one level down. */
export type Child = { readonly cid: Cid } & ({ readonly name: Hash } | { readonly path: Path });

/** A comment of a folder, not judged yet: sum is its SHA-1, for parseDocument. */
export interface Found {
  readonly id: Hash;
  readonly bytes: Uint8Array;
  readonly sum: Sum;
}

/** Checks a directory node, whose block has been checked against its CID, and lists what it leads to, in its order. */
export function childrenOf(block: Uint8Array, cid: Cid, path: Path, kind: FolderKind): Child[] {
  must(cid.codec === "dag-pb", "a folder's codec");
  const { sharded, links } = parseNode(block, cid.version);
  must(sharded || path.length === 0, "a plain directory in a shard");
  must(!sharded || links.length > 0, "an empty shard");
  const codec = kind === "topic" && cid.version === 1 ? "raw" : "dag-pb";
  return links.map((link) => {
    const name = sharded ? link.name.slice(2) : link.name;
    const here = sharded ? [...path, Number.parseInt(link.name.slice(0, 2), 16)] : [];
    must(link.cid.codec === (name === "" ? "dag-pb" : codec), "a link's codec");
    if (name === "") {
      must(here.length < maxLevels, "the number of levels");
      return { cid: link.cid, path: here };
    }
    const slot = sharded ? slotOf(name) : [];
    must(here.every((index, level) => index === slot[level]), "a name in another's shard");
    return { cid: link.cid, name: name as Hash };
  });
}

/** Checks a comment's block, whose bytes have been checked against its CID. */
export function openLeaf(block: Uint8Array, cid: Cid, name: Hash): Found {
  const bytes = leafBytes(block, cid.version);
  const sum = sha1(bytes);
  must(toHex(sum.hash) === name, "a comment's name");
  return { id: name, bytes, sum };
}

export interface Folder {
  readonly root: Cid;
  /** All of the folder was there only if this ends without a Lie. */
  readonly comments: AsyncGenerator<Found>;
}

/** Who reads a folder. */
export interface Taker {
  /** A directory node, which may be kept, and what it leads to. */
  node(block: Uint8Array, place: { readonly cid: Cid; readonly path: Path }): readonly Child[];
  /** Whether a comment is wanted. */
  wants(name: Hash): boolean;
  /** Called after each block: what it returns is waited for. */
  pace(): Promise<void> | undefined;
}

const every: Taker = {
  node: (block, { cid, path }) => childrenOf(block, cid, path, "topic"),
  wants: () => true,
  pace: () => undefined,
};

/**
 * Opens a topic's folder from its CAR: the one of an id, or the one that the server has now. Comments come as soon as
 * their bytes are there. The CAR is depth first, so at every time it is known what must come next, and what is kept
 * meanwhile is the links still to come.
 */
export async function openFolder(chunks: AsyncIterable<Uint8Array>, id?: Cid, maxBytes = maxCar, taker = every): Promise<Folder> {
  const { root, blocks } = await openCar(chunks, maxBytes);
  must(id === undefined || equalCids(root, id), "a CAR of another folder");
  return { root, comments: readComments(root, blocks, taker) };
}

async function* readComments(root: Cid, blocks: AsyncIterable<Block>, { node, wants, pace }: Taker): AsyncGenerator<Found> {
  const expected: Child[] = [{ cid: root, path: [] }];
  for await (const { cid, bytes } of blocks) {
    const next = expected.pop();
    must(next !== undefined && equalCids(next.cid, cid), "the next block of a folder");
    if ("path" in next) for (const child of [...node(bytes, next)].reverse()) expected.push(child);
    else if (wants(next.name)) yield openLeaf(bytes, cid, next.name);
    const rest = pace();
    if (rest !== undefined) await rest;
  }
  must(expected.length === 0, "a folder that ends early");
}
