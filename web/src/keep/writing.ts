// Keeping of keys, of drafts and of what is still to be sent: see person.ts.

import { type Place, parsePlace, placeText } from "../protocol/hash.ts";
import type { Keep } from "./keep.ts";
import type { Draft, KeptKey } from "./person.ts";

/** Drafts and posts that wait; the oldest goes for a new one. */
export const maxDrafts = 200;
export const maxWaiting = 500;
export const maxKeys = 64;

export async function keepKey(keep: Keep, publicKey: string, key: KeptKey): Promise<void> {
  const isNew = (await keep.get("keys", publicKey)) === undefined;
  if (isNew && (await keep.list("keys")).length >= maxKeys) throw new RangeError(`${maxKeys} names are kept already`);
  await keep.put("keys", publicKey, key);
}

export async function keepDraft(keep: Keep, key: string, text: string, now: number): Promise<void> {
  if (text === "") return keep.remove("drafts", key);
  await keep.put("drafts", key, { text, at: now } satisfies Draft);
  await trim(keep, "drafts", maxDrafts);
}

/** A signed document that no server has acknowledged yet. */
export interface Waiting {
  readonly bytes: Uint8Array;
  readonly at: number;
  /** Not to be sent before: a delete that can be undone. Milliseconds since 1970. */
  readonly due: number;
}

export async function keepWaiting(keep: Keep, place: Place, id: string, waiting: Waiting): Promise<void> {
  await keep.put("outbox", `${placeText(place)}/${id}`, waiting);
  await trim(keep, "outbox", maxWaiting);
}

export async function dropWaiting(keep: Keep, place: Place, id: string): Promise<void> {
  await keep.remove("outbox", `${placeText(place)}/${id}`);
}

export async function keptWaiting(keep: Keep): Promise<[Place, id: string, Waiting][]> {
  const all = await keep.list("outbox");
  return all.flatMap(([key, value]): [Place, string, Waiting][] => {
    const place = parsePlace(key.slice(0, 81));
    return place === undefined ? [] : [[place, key.slice(82), value as Waiting]];
  });
}

async function trim(keep: Keep, table: "drafts" | "outbox", max: number): Promise<void> {
  const all = await keep.list(table);
  const oldest = all.sort(([, a], [, b]) => (a as { at: number }).at - (b as { at: number }).at);
  for (const [key] of oldest.slice(0, Math.max(0, all.length - max))) await keep.remove(table, key);
}
