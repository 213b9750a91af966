// The orders of a thread: SPEC.md, section 9, "Sorting". Every order is total, so all pages show one.

import { compare } from "./hash.ts";

export type Order = "newest" | "oldest" | "best" | "discussed";

/** What a comment is sorted by. */
export interface Sortable {
  readonly id: string;
  readonly date?: string | undefined;
  readonly score: { readonly up: number; readonly down: number };
  readonly replies: number;
}

/**
 * The lower bound of Wilson's 95 % interval for the share of votes up, 0 without any. Each step rounds by itself, in
 * this order, so that all programs get the same 64 bits; JavaScript has no other arithmetic.
 */
export function score(up: number, down: number): number {
  if (up === 0) return 0;
  const n = up + down;
  const spread = (up * down) / n;
  const root = Math.sqrt(spread + 0.9604);
  const low = up + 1.9208 - 1.96 * root;
  return low / (n + 3.8416);
}

/** How replies stand under their parent, and the order "oldest": those without a date last. */
export function byOldest(a: Sortable, b: Sortable): number {
  // "~" is greater than every digit.
  return compare(a.date ?? "~", b.date ?? "~") || compare(a.id, b.id);
}

function byNewest(a: Sortable, b: Sortable): number {
  return compare(b.date ?? "", a.date ?? "") || compare(a.id, b.id);
}

function byBest(a: Sortable, b: Sortable): number {
  const difference = score(b.score.up, b.score.down) - score(a.score.up, a.score.down);
  return difference || a.score.down - b.score.down || byNewest(a, b);
}

function byDiscussed(a: Sortable, b: Sortable): number {
  return b.replies - a.replies || byNewest(a, b);
}

/** How the comments of the top level are compared. */
export const orders: Readonly<Record<Order, (a: Sortable, b: Sortable) => number>> = {
  newest: byNewest,
  oldest: byOldest,
  best: byBest,
  discussed: byDiscussed,
};
