// What SPEC.md promises of every fold, on documents made at random.

import { describe, expect, test } from "vitest";
import type { Document } from "../src/protocol/document.ts";
import type { Hash } from "../src/protocol/hash.ts";
import { kindOf } from "../src/protocol/kinds.ts";
import { living } from "../src/protocol/living.ts";
import type { Order } from "../src/protocol/sort.ts";
import { type Comment, fold } from "../src/protocol/thread.ts";
import { keyOf, make, madePlace } from "./made.ts";
import { random, shuffled } from "./random.ts";

const now = Date.parse("2026-11-22T12:00:00Z");

/** Comments, files of one act, edits, votes, and deletes, some of which lie about the place of what they delete. */
function documents(pick: (n: number) => number, count: number): Document[] {
  const all: Document[] = [];
  const date = (): string | undefined => (pick(5) === 0 ? undefined : `2026-11-22T${String(pick(13)).padStart(2, "0")}:00:00Z`);
  const any = (): Document | undefined => all[pick(all.length + 1)];
  for (let i = 0; i < count; i++) {
    const key = keyOf(pick(5));
    const of = any();
    const target = of?.id;
    const at = date();
    switch (pick(8)) {
      case 0:
        all.push(make({ key, kind: "edit", target, date: at, body: `edit ${i}` }));
        break;
      case 1:
        all.push(make({ key, kind: "vote", target, date: at, body: ["up", "down", "none", "Up"][pick(4)] as string, work: 16 + 4 * pick(2) }));
        break;
      case 2:
        if (of === undefined) break;
        // By its author, who says where it stood; or by anyone, who says anything.
        if (pick(3) > 0) {
          const parent = of.signed?.headers.get("Parent") as Hash | undefined;
          all.push(make({ key: of.signed?.key as string, kind: "delete", target, parent, date: of.signed?.date }));
        } else {
          all.push(make({ key, kind: "delete", target, parent: any()?.id, date: at }));
        }
        break;
      default: {
        const comment = { key, parent: pick(4) === 0 ? undefined : target, date: at, body: `comment ${i}` };
        all.push(make(comment));
        if (pick(6) === 0) all.push(make({ ...comment, file: 1 }));
      }
    }
  }
  return all;
}

/** What a thread must be, whatever it was made of. */
function check(comments: readonly Comment[]): void {
  const ids = new Set<string>();
  const open: Comment[] = [];
  for (const comment of comments) {
    expect(ids.has(comment.id)).toBe(false);
    ids.add(comment.id);
    open.length = comment.depth;
    expect(open[comment.depth - 1]?.id).toBe(comment.missing === true ? undefined : comment.parent);
    open.push(comment);
  }
  comments.forEach((comment, i) => {
    const end = comments.findIndex(({ depth }, j) => j > i && depth <= comment.depth);
    const below = comments.slice(i + 1, end < 0 ? undefined : end);
    expect(comment.replies).toBe(below.filter(({ deleted }) => deleted !== true).length);
    if (comment.deleted === true) {
      expect(comment.replies).toBeGreaterThan(0);
      expect(comment).not.toHaveProperty("key");
      expect(comment.body).toBe("");
    }
  });
}

describe("a fold", () => {
  const orders: readonly Order[] = ["newest", "oldest", "best", "discussed"];

  test.each(Array.from({ length: 150 }, (_, i) => i))("of random documents, seed %i", (seed) => {
    const pick = random(seed);
    const all = documents(pick, 40);
    const order = orders[seed % 4] as Order;
    const thread = fold(madePlace, all, [], now, order);
    check(thread.comments);
    expect(thread.total).toBe(thread.comments.filter(({ deleted }) => deleted !== true).length);
    // Neither the order of the documents matters, nor one that stands twice,
    expect(fold(madePlace, shuffled([...all, ...all], pick), [], now, order)).toEqual(thread);
    // nor whether the bytes of what was deleted are still there.
    const left = new Set(living(madePlace, all, now).documents);
    const gone = all.filter((document) => left.has(document) || kindOf(document) === "delete");
    expect(fold(madePlace, gone, [], now, order)).toEqual(thread);
    // Nor does a document of another topic.
    const elsewhere = all.map((document) => ({ ...document, place: { ...madePlace, topic: madePlace.community } }));
    expect(fold(madePlace, [...all, ...elsewhere], [], now, order)).toEqual(thread);
  });

  test("whose cycle has a living comment of the smallest id: the deleted one is cut", () => {
    const gone = make({ key: keyOf(1), body: "gone" }).id;
    // One of these has a smaller id than what it answers.
    const replies = Array.from({ length: 50 }, (_, i) => make({ key: keyOf(2), parent: gone, body: String(i) }));
    const reply = replies.find(({ id }) => id < gone) as Document;
    const removal = make({ key: keyOf(1), kind: "delete", target: gone, parent: reply.id });
    const { comments } = fold(madePlace, [removal, reply], [], now, "newest");
    expect(comments.map(({ id, depth }) => [id, depth])).toEqual([[gone, 0], [reply.id, 1]]);
  });

  test("without the edits of what was deleted", () => {
    const gone = make({ key: keyOf(1), body: "gone" });
    const edit = make({ key: keyOf(1), kind: "edit", target: gone.id, body: "edited" });
    const removal = make({ key: keyOf(1), kind: "delete", target: gone.id });
    expect(living(madePlace, [gone, edit, removal], now).documents).toEqual([removal]);
    // So an answer to the edit stands where a stranger's delete of the edit says, and not at top level as missing.
    const reply = make({ key: keyOf(2), parent: edit.id, body: "reply" });
    const strangers = make({ key: keyOf(3), kind: "delete", target: edit.id });
    const { comments } = fold(madePlace, [gone, edit, removal, reply, strangers], [], now, "newest");
    expect(comments.map(({ id, depth }) => [id, depth])).toEqual([[edit.id, 0], [reply.id, 1]]);
  });

  test("as deep as a stranger likes", () => {
    const all: Document[] = [];
    for (let i = 0; i < 100_000; i++) all.push(make({ key: keyOf(1), parent: all.at(-1)?.id, body: String(i) }));
    const { comments, total } = fold(madePlace, all, [], now, "discussed");
    expect(total).toBe(100_000);
    expect(comments.at(-1)).toMatchObject({ depth: 99_999, replies: 0 });
    expect(comments[0]).toMatchObject({ depth: 0, replies: 99_999 });
  });

  test("of deletes that say each other's parents, as many as a stranger likes", () => {
    const ids = Array.from({ length: 50_000 }, (_, i) => make({ key: keyOf(1), body: `gone ${i}` }).id);
    const deletes = ids.map((target, i) => make({ key: keyOf(2), kind: "delete", target, parent: ids[(i + 1) % ids.length] }));
    const reply = make({ key: keyOf(3), parent: ids[7], body: "reply" });
    const { comments, total } = fold(madePlace, [...deletes, reply], [], now, "newest");
    expect(total).toBe(1);
    expect(comments.at(-1)).toMatchObject({ id: reply.id, depth: comments.length - 1 });
    expect(comments[0]?.id).toBe([...ids].sort()[0]);
  });
});
