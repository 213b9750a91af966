// The first look at a topic: the folder of one server, read straight. It needs nothing of the network's code, and nobody's
// word: every comment is what its name says, and counts when its signature is verified. The network, once it is here,
// reads the same topic from that server and from others, and does not bring this again.

import { getFolder } from "../protocol/ask.ts";
import { cidText } from "../protocol/cid.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { maxSourceBytes, maxSourceFiles } from "./session.ts";

/** Files of one batch. */
const batchFiles = 64;
/** After so long without any it is over. */
const stallMillis = 10_000;

/** What came, and the id of the folder that it is all of; empty without one. */
export interface First {
  readonly ids: Hash[];
  folder: string;
}

/** Reads into first until all is here, or take says that it is enough. */
export async function readFirst(origin: string, place: Place, first: First, take: (files: readonly Uint8Array[]) => Promise<boolean>): Promise<void> {
  const end = new AbortController();
  let timer = setTimeout(() => end.abort(), stallMillis);
  let bytes = 0;
  let batch: Uint8Array[] = [];
  const flush = async (): Promise<boolean> => {
    clearTimeout(timer);
    timer = setTimeout(() => end.abort(), stallMillis);
    const files = batch;
    batch = [];
    return files.length === 0 || take(files);
  };
  try {
    const folder = await getFolder({ origin, fetch: (url, init) => fetch(url, init) }, place, end.signal);
    if (folder === undefined) return;
    for await (const found of folder.comments) {
      bytes += found.bytes.length;
      if (first.ids.push(found.id) > maxSourceFiles || bytes > maxSourceBytes) return;
      // A copy: what is cut out of a large buffer would keep all of it.
      batch.push(found.bytes.slice());
      if (batch.length >= batchFiles && !(await flush())) return;
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
