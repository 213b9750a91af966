// What is kept of the person: keys with their names, drafts, what is still to be sent, settings. The tables keys,
// drafts, outbox and settings are this module's.

import { type Place, parsePlace, placeText } from "../protocol/hash.ts";
import type { Keep } from "./keep.ts";

/** Drafts and posts that wait; the oldest goes for a new one. */
export const maxDrafts = 200;
export const maxWaiting = 500;
export const maxKeys = 64;

export interface KeptKey {
  /** RFC 8032's private key, 32 bytes. */
  readonly seed: Uint8Array;
  /** What the person is called where he posts with it. */
  readonly name: string;
  readonly made: number;
  /** Whether its words or its file were taken. */
  readonly saved: boolean;
}

export async function keptKeys(keep: Keep): Promise<[publicKey: string, KeptKey][]> {
  const all = await keep.list("keys");
  return all
    .map(([key, value]): [string, KeptKey] => [key, value as KeptKey])
    .sort(([, a], [, b]) => a.made - b.made);
}

export async function keepKey(keep: Keep, publicKey: string, key: KeptKey): Promise<void> {
  const isNew = (await keep.get("keys", publicKey)) === undefined;
  if (isNew && (await keep.list("keys")).length >= maxKeys) throw new RangeError(`${maxKeys} names are kept already`);
  await keep.put("keys", publicKey, key);
}

export interface Draft {
  readonly text: string;
  readonly at: number;
}

/** What is written on: the topic itself, an answer to a comment, or the edit of one. */
export function draftKey(place: Place, about: string): string {
  return `${placeText(place)}/${about}`;
}

export async function keptDraft(keep: Keep, key: string): Promise<string> {
  return ((await keep.get("drafts", key)) as Draft | undefined)?.text ?? "";
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
