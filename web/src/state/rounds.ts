// Reading in rounds: all that there is, then nothing for a while. It needs no stream of events, and a browser keeps six
// connections to a server: who follows many lists would have none left to post with.

import { packFiles } from "../keep/pack.ts";
import type { File, TopicReader } from "../net/net.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import type { FromThread, Reading } from "../workers/messages.ts";
import { openChannel } from "../workers/pool.ts";
import { people } from "./me.ts";
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
export function readOnce(where: Place, known: Known, take: TakeFiles, done: () => void): () => void {
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
          done();
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

/** A place that the worker reads and nothing is kept of. */
export interface Quiet {
  ask(kind: "live" | "apply" | "lists"): void;
  own(bytes: Uint8Array): void;
  undo(id: Hash): void;
  /** Takes files of it, or of a list. */
  take(list?: Place): TakeFiles;
  close(): void;
}

export function openQuiet(place: Place, how: Partial<Reading>, listener: (message: FromThread) => void): Quiet {
  const channel = openChannel(listener);
  const { session } = channel;
  const reading = { order: "newest", mine: people.peek().map(({ key }) => key), muted: [], lists: [], showHidden: true, ...how } as const;
  channel.send({ kind: "open", session, place, reading, quiet: true });
  return {
    ask: (kind) => channel.send({ kind, session }),
    own: (bytes) => channel.send({ kind: "own", session, bytes }),
    undo: (id) => channel.send({ kind: "undo", session, id }),
    take: (list) => (files, server) => {
      const pack = packFiles(files.map(({ bytes }) => bytes));
      channel.send({ kind: "files", session, server, pack, ...(list !== undefined ? { list } : {}) }, [pack]);
    },
    close() {
      channel.send({ kind: "close", session });
      channel.close();
    },
  };
}
