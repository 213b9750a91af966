// What the page gives to the IPFS network: the blocks that it holds, as fast as is no burden to who reads the page.

import type { Blocks } from "../keep/blocks.ts";

export interface GivenBounds {
  /** A second, of all nodes together. */
  readonly blocks: number;
  readonly bytes: number;
  /** In all, while the worker runs: a phone's connection may be paid for by the megabyte. */
  readonly total: number;
}
export const givenBounds: GivenBounds = { blocks: 200, bytes: 1 << 20, total: 64 << 20 };

export interface Given {
  has(digest: Uint8Array): Promise<boolean>;
  /** Waits until it is this block's turn. */
  get(digest: Uint8Array): Promise<Uint8Array | undefined>;
  readonly count: number;
}

export function give(from: Blocks, now: () => number, wait: (millis: number) => Promise<void>, bound = givenBounds): Given {
  let count = 0;
  let total = 0;
  /** When the next block may go. */
  let free = 0;
  return {
    has: async (digest) => total < bound.total && from.has(digest),
    async get(digest) {
      if (total >= bound.total) return undefined;
      const block = await from.get(digest);
      if (block === undefined) return undefined;
      const at = Math.max(now(), free);
      free = at + 1000 * Math.max(1 / bound.blocks, block.length / bound.bytes);
      total += block.length;
      count++;
      if (at > now()) await wait(at - now());
      return block;
    },
    get count() {
      return count;
    },
  };
}
