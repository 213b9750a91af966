// What is kept of topics: the files that were verified, in packs, and of each topic what the page wants to know before
// it reads it. A file that is kept needs no signature checked again.

import { parsePlace, type Place, placeText } from "../protocol/hash.ts";
import type { Keep } from "./keep.ts";
import { packFiles, unpackFiles } from "./pack.ts";

/** All packs together, and those of one topic: some hundred thousand comments. */
export const maxKept = 128 << 20;
export const maxTopicKept = 32 << 20;
/** More packs than that are made one. */
export const maxPacks = 8;
/** Topics that are remembered without being followed. */
export const maxTopics = 1000;

export interface KeptTopic {
  /** In clear, as far as it is known. */
  readonly name: string;
  /** Milliseconds since 1970: when it was opened, and when all that servers had of it was here. */
  readonly visited: number;
  readonly seen?: number;
  /** Comments in it when it was last seen. */
  readonly comments: number;
  readonly bytes: number;
  readonly packs: number;
  /** The id of a folder all of whose comments are in the packs, if so many files are; empty if none is known. */
  readonly folder: string;
  readonly files?: number;
  readonly followed: boolean;
  /** Replies to the reader that he has not seen, by their ids. */
  readonly replies: readonly string[];
}

const unknown: KeptTopic = { name: "", visited: 0, comments: 0, bytes: 0, packs: 0, folder: "", followed: false, replies: [] };

export async function keptTopic(keep: Keep, place: Place): Promise<KeptTopic | undefined> {
  return (await keep.get("topics", placeText(place))) as KeptTopic | undefined;
}

export async function changeTopic(keep: Keep, place: Place, change: Partial<KeptTopic>): Promise<void> {
  await keep.change("topics", placeText(place), (before) => ({ ...unknown, ...(before as KeptTopic | undefined), ...change }));
}

/** All topics that are known, newest visit first. */
export async function keptTopics(keep: Keep): Promise<[Place, KeptTopic][]> {
  const list = await keep.list("topics");
  return list
    .flatMap(([key, value]): [Place, KeptTopic][] => {
      const place = parsePlace(key);
      return place === undefined ? [] : [[place, value as KeptTopic]];
    })
    .sort(([, a], [, b]) => b.visited - a.visited);
}

/** The verified files of a topic. */
export async function keptFiles(keep: Keep, place: Place): Promise<Uint8Array[]> {
  const packs = await keep.list("packs", `${placeText(place)}/`);
  return packs.flatMap(([, value]) => (value instanceof ArrayBuffer ? unpackFiles(value) : []));
}

function packKey(place: Place, n: number): string {
  return `${placeText(place)}/${String(n).padStart(4, "0")}`;
}

/** Keeps more files of a topic, if there is room for them; whether there was. */
export async function addFiles(keep: Keep, place: Place, files: readonly Uint8Array[]): Promise<boolean> {
  if (files.length === 0) return true;
  const before = (await keptTopic(keep, place)) ?? unknown;
  const pack = packFiles(files);
  if (before.bytes + pack.byteLength > maxTopicKept) return false;
  if (before.packs >= maxPacks) {
    return replaceFiles(keep, place, [...(await keptFiles(keep, place)), ...files]);
  }
  await keep.put("packs", packKey(place, before.packs), pack);
  await changeTopic(keep, place, { bytes: before.bytes + pack.byteLength, packs: before.packs + 1 });
  await makeRoom(keep, place);
  return true;
}

/** Keeps these files of a topic and no others: what an author deleted is gone from here, too. */
export async function replaceFiles(keep: Keep, place: Place, files: readonly Uint8Array[]): Promise<boolean> {
  await dropFiles(keep, place);
  return addFiles(keep, place, files);
}

export async function dropFiles(keep: Keep, place: Place): Promise<void> {
  for (const [key] of await keep.list("packs", `${placeText(place)}/`)) await keep.remove("packs", key);
  if ((await keptTopic(keep, place)) !== undefined) await changeTopic(keep, place, { bytes: 0, packs: 0, folder: "" });
}

/** Forgets all that was read, but which topics are followed. */
export async function forgetTopics(keep: Keep): Promise<void> {
  for (const [place, { name, followed }] of await keptTopics(keep)) {
    await dropFiles(keep, place);
    await keep.remove("topics", placeText(place));
    if (followed) await changeTopic(keep, place, { name, followed });
  }
  // What was looked at on the desk, too: desk.ts.
  for (const [key] of await keep.list("packs")) await keep.remove("packs", key);
}

/**
 * Drops the files of topics that were not visited for longest, those that are followed last, then the memory of topics
 * nobody follows.
 */
async function makeRoom(keep: Keep, open: Place): Promise<void> {
  const topics = await keptTopics(keep);
  let total = topics.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  const oldest = [...topics].reverse().filter(([place]) => placeText(place) !== placeText(open)).sort(([, a], [, b]) => Number(a.followed) - Number(b.followed));
  for (const [place, { bytes }] of oldest) {
    if (total <= maxKept) break;
    await dropFiles(keep, place);
    total -= bytes;
  }
  const strangers = oldest.filter(([, { followed }]) => !followed);
  for (const [place] of strangers.slice(0, Math.max(0, topics.length - maxTopics))) {
    await dropFiles(keep, place);
    await keep.remove("topics", placeText(place));
  }
}

