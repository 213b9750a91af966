// Keeping of keys, of drafts and of what is still to be sent: see person.ts.

import type { Draft as Unsigned } from "../protocol/build.ts";
import { type Hash, type Place, parsePlace, placeText } from "../protocol/hash.ts";
import type { Keep } from "./keep.ts";
import type { Draft, KeptKey } from "./person.ts";

/** Drafts; the oldest goes for a new one. */
export const maxDrafts = 200;
/** Posts that wait, and their bytes: days of writing without a network. None goes for another one. */
export const maxWaiting = 500;
export const maxWaitingBytes = 4 << 20;
export const maxKeys = 64;

export async function keepKey(keep: Keep, publicKey: string, key: KeptKey): Promise<void> {
  const isNew = (await keep.get("keys", publicKey)) === undefined;
  if (isNew && (await keep.list("keys")).length >= maxKeys) throw new RangeError(`${maxKeys} names are kept already`);
  await keep.put("keys", publicKey, key);
}

export async function keepDraft(keep: Keep, key: string, text: string, now: number): Promise<void> {
  if (text === "") return keep.remove("drafts", key);
  await keep.put("drafts", key, { text, at: now } satisfies Draft);
  const all = await keep.list("drafts");
  const oldest = all.sort(([, a], [, b]) => (a as Draft).at - (b as Draft).at);
  for (const [each] of oldest.slice(0, Math.max(0, all.length - maxDrafts))) await keep.remove("drafts", each);
}

/** A signed document that no server has acknowledged yet. */
export interface Waiting {
  readonly bytes: Uint8Array;
  /** When it was written, which is its place in the row: no two are the same. */
  readonly at: number;
  /** Not to be sent before: a delete that can be undone. Milliseconds since 1970. */
  readonly due: number;
  /** What it was signed from, by whom, for a server that asks for more work. */
  readonly draft?: Unsigned;
  readonly key?: string;
  /** The comment that an act is about. */
  readonly target?: Hash;
  /** Why no server takes it: then it waits for its writer. */
  readonly refused?: { readonly code: string; readonly detail: string };
}

/** As much waits as may. */
export class Full extends Error {}

/** Keeps one, new or changed; instead: one that goes then, and does not count. */
export async function keepWaiting(keep: Keep, place: Place, id: string, waiting: Waiting, instead = id): Promise<void> {
  const key = `${placeText(place)}/${id}`;
  const others = (await keep.list("outbox")).filter(([each]) => each !== key && !each.endsWith(`/${instead}`));
  const bytes = others.reduce((sum, [, each]) => sum + (each as Waiting).bytes.length, waiting.bytes.length);
  if (others.length >= maxWaiting || bytes > maxWaitingBytes) throw new Full(`${others.length} posts wait already`);
  await keep.put("outbox", key, waiting);
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
