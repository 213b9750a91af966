// What is kept of the person: keys with their names, drafts, what is still to be sent, settings. The tables keys,
// drafts, outbox and settings are this module's and, where something is kept, writing.ts's.

import { type Place, placeText } from "../protocol/hash.ts";
import type { Keep } from "./keep.ts";

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
