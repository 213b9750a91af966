// The first look at a topic: the folder of one server, read straight. It needs nothing of the network's code, and nobody's
// word: every comment is what its name says, and counts when its signature is verified. The network, once it is here,
// reads the same topic from that server and from others, and does not bring this again.

import { askFolder, chunksOf, firstMillis, type Server } from "../protocol/ask.ts";
import { cidText } from "../protocol/cid.ts";
import { type Found, openFolder } from "../protocol/folder.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { maxSourceBytes, maxSourceFiles } from "./session.ts";

/** Files of one batch; after so long it goes with fewer. */
const batchFiles = 64;
const batchMillis = 50;

/** What is taken of one server; tests reach it with less. */
export interface FirstBounds {
  readonly files: number;
  readonly bytes: number;
  /** After so long it is over, however much comes: other servers are asked only then. */
  readonly millis: number;
}
export const firstBounds: FirstBounds = { files: maxSourceFiles, bytes: maxSourceBytes, millis: firstMillis };

/** What came, and the id of the folder that it is all of; empty without one. */
export interface First {
  readonly ids: Hash[];
  folder: string;
}

/** Reads into first until all is here, or take says that it is enough. It never fails. */
export async function readFirst(server: Server, place: Place, first: First, take: (files: readonly Found[]) => Promise<boolean>, bound = firstBounds): Promise<void> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), bound.millis);
  let due = performance.now() + batchMillis;
  let bytes = 0;
  let batch: Found[] = [];
  async function flush(): Promise<boolean> {
    const files = batch;
    batch = [];
    const goOn = files.length === 0 || (await take(files));
    due = performance.now() + batchMillis;
    return goOn;
  }
  try {
    const response = await askFolder(server, place, end.signal);
    if (!response.ok) return;
    const folder = await openFolder(chunksOf(response));
    for await (const found of folder.comments) {
      bytes += found.bytes.length;
      if (first.ids.length >= bound.files || bytes > bound.bytes) return;
      first.ids.push(found.id);
      // A copy: what is cut out of a large buffer would keep all of it.
      batch.push({ ...found, bytes: found.bytes.slice() });
      if ((batch.length >= batchFiles || performance.now() >= due) && !(await flush())) return;
    }
    first.folder = cidText(folder.root);
  } catch {
    // What is wrong with that server the network will see, too, and say.
  } finally {
    await flush();
    clearTimeout(timer);
    end.abort();
  }
}
