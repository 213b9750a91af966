// Reading in rounds: all that there is, then nothing for a while. It needs no stream of events, and a browser keeps six
// connections to a server: who follows many lists would have none left to post with.

import type { File, ReadState, TopicReader } from "../net/net.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { startNet } from "./page.ts";

/** Lists are read again after so long. */
export const listMillis = 30_000;

/** What is known of a place from rounds before. */
export interface Known {
  readonly held: Set<Hash>;
  folder?: string;
}

export type TakeFiles = (files: readonly File[], server: string) => void;

/** Reads a place once. done is called when all is here, unless what this returns was called before. */
export function readOnce(where: Place, known: Known, take: TakeFiles, done: (state: ReadState) => void): () => void {
  let reader: TopicReader | undefined;
  let ended = false;
  const end = (): void => {
    ended = true;
    reader?.close();
  };
  void startNet().then((made) => {
    if (ended) return;
    reader = made?.read(where, new Set(known.held), {
      files(files, server) {
        for (const { id } of files) known.held.add(id);
        take(files, server);
      },
      folder: (id) => (known.folder = id),
      state(state) {
        // Not from within what it calls.
        if (state === "live" || state === "empty") queueMicrotask(() => {
          if (ended) return;
          end();
          done(state);
        });
      },
      total: () => undefined,
      agreement: () => undefined,
      onOneServer: () => undefined,
    }, known.folder);
  });
  return end;
}

/** Reads a place again and again, until what this returns is called. done is called after each round. */
export function readAgain(where: Place, take: TakeFiles, done = (): void => undefined): () => void {
  const known: Known = { held: new Set() };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop = round();
  function round(): () => void {
    return readOnce(where, known, take, () => {
      timer = setTimeout(() => (stop = round()), listMillis);
      done();
    });
  }
  return () => {
    clearTimeout(timer);
    stop();
  };
}
