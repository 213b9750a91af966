// What servers' folders of one topic consist of. Their directory nodes are kept, names alone, so that of another
// server's folder, or of a later one, only the sub-trees that differ are asked for.

import type { Cid } from "../protocol/cid.ts";
import { toHex } from "../protocol/bytes.ts";
import { type Child, childrenOf, type Path } from "../protocol/folder.ts";
import type { Hash } from "../protocol/hash.ts";

/** A directory node at its place: the same block may stand at two. */
export type NodeKey = string;

export interface Place {
  readonly cid: Cid;
  readonly path: Path;
}

interface Kept {
  readonly names: readonly Hash[];
  readonly below: readonly NodeKey[];
  /** Until all of it is here: what it leads to. */
  children: readonly Child[] | undefined;
}

export interface Tree {
  /** What a node leads to, if it is known and not all of that is here; "whole" if it is. */
  known(place: Place): readonly Child[] | "whole" | undefined;
  /** Checks a node and keeps it. */
  add(block: Uint8Array, place: Place): readonly Child[];
  /** Looks which sub-trees of a folder are whole: all of their comments are here. */
  complete(root: Place, isHere: (name: Hash) => boolean): void;
  /** The names in a folder, as far as its nodes are known. */
  names(root: Place): Generator<Hash>;
  /** Forgets what no longer stands in any of these folders. */
  keep(roots: readonly Place[]): void;
  readonly size: number;
}

function keyOf({ cid, path }: Place): NodeKey {
  return `${path.join(".")}:${cid.version}${toHex(cid.digest)}`;
}

export function createTree(): Tree {
  let nodes = new Map<NodeKey, Kept>();

  /** Nodes from a root on, each once. */
  function* under(root: NodeKey): Generator<[NodeKey, Kept]> {
    const todo = [root];
    const seen = new Set(todo);
    for (let key = todo.pop(); key !== undefined; key = todo.pop()) {
      const node = nodes.get(key);
      if (node === undefined) continue;
      yield [key, node];
      for (const next of node.below) {
        if (seen.has(next)) continue;
        seen.add(next);
        todo.push(next);
      }
    }
  }

  return {
    known(place) {
      const node = nodes.get(keyOf(place));
      return node === undefined ? undefined : (node.children ?? "whole");
    },
    add(block, place) {
      const children = childrenOf(block, place.cid, place.path, "topic");
      const names = children.flatMap((child) => ("name" in child ? [child.name] : []));
      const below = children.flatMap((child) => ("path" in child ? [keyOf(child)] : []));
      nodes.set(keyOf(place), { names, below, children });
      return children;
    },
    complete(root, isHere) {
      // A node comes before those below it, so from the last one on each knows what is below.
      for (const [, node] of [...under(keyOf(root))].reverse()) {
        const isWhole = node.names.every(isHere) && node.below.every((key) => nodes.get(key)?.children === undefined && nodes.has(key));
        if (isWhole) node.children = undefined;
      }
    },
    *names(root) {
      for (const [, node] of under(keyOf(root))) yield* node.names;
    },
    keep(roots) {
      const kept = new Map<NodeKey, Kept>();
      for (const root of roots) for (const [key, node] of under(keyOf(root))) kept.set(key, node);
      nodes = kept;
    },
    get size() {
      return nodes.size;
    },
  };
}
