// Documents that nobody signed, for folds of many: the fold asks for no signature.

import { createHash } from "node:crypto";
import { utf8 } from "../src/protocol/bytes.ts";
import type { Document } from "../src/protocol/document.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";

export const madePlace: Place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };

export interface Made {
  readonly key: string;
  readonly kind?: string;
  readonly target?: Hash | undefined;
  readonly parent?: Hash | undefined;
  readonly date?: string | undefined;
  readonly body?: string;
  /** Tells files of one act apart. */
  readonly file?: number;
  /** Bits of work. */
  readonly work?: number;
}

export function keyOf(n: number): string {
  return n.toString(16).padStart(64, "0");
}

export function make({ key, kind, target, parent, date, body = "", file = 0, work = 0 }: Made): Document {
  const headers = new Map<string, string>();
  for (const [name, value] of [["Kind", kind], ["Target", target], ["Parent", parent], ["Date", date]] as const) {
    if (value !== undefined) headers.set(name, value);
  }
  const part = JSON.stringify([key, [...headers], body]);
  const digest = createHash("sha256").update(part).digest("hex");
  // A digest with so many leading zero bits: of whole hex digits here.
  const act = "0".repeat(work / 4) + "f" + digest.slice(work / 4 + 1);
  const id = createHash("sha1").update(`${file} ${part}`).digest("hex") as Hash;
  return { place: madePlace, id, bytes: utf8(body), bodyAt: 0, signed: { key, act, headers, ...(date !== undefined ? { date } : {}) } };
}
