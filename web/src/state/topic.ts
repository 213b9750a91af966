// The topic that is being read: what the worker made of its files, as signals that its screen follows.

import { batch, effect, type Signal, signal } from "./signals.ts";
import { packFiles } from "../keep/pack.ts";
import { changeTopic, keptTopic } from "../keep/topics.ts";
import type { File, ReadState, TopicReader } from "../net/net.ts";
import { isFirstVisit } from "../net/visits.ts";
import { askFolder, firstMillis, silentMillis } from "../protocol/ask.ts";
import { type Hash, type Place, placeText } from "../protocol/hash.ts";
import type { Order } from "../protocol/sort.ts";
import type { FromThread, Reading, Row, ThreadFacts } from "../workers/messages.ts";
import { knownTree, openChannel, treeOf, warmMarkdown } from "../workers/pool.ts";
import type { Tree } from "../workers/trees.ts";
import { lists, muted, order, people } from "./me.ts";
import { firstServer, keeping, net, startNet } from "./page.ts";

/** A row with the tree of its body; without one the body is shown as it is. */
export interface DrawnRow {
  readonly row: Row;
  readonly tree: readonly Tree[] | undefined;
}

export interface DrawnSection {
  readonly key: string;
  readonly rows: Signal<readonly DrawnRow[]>;
}

const noFacts: ThreadFacts = { name: "", total: 0, pending: 0, hiddenBy: [], locked: false, unverified: 0, fresh: 0, replies: [] };

type Held = Pick<Extract<FromThread, { kind: "held" }>, "ids" | "folder">;
const nothing: Held = { ids: [], folder: "" };

/** Whether this browser hands a stream to a worker: not all do. */
function movesStreams(): boolean {
  try {
    const stream = new ReadableStream();
    structuredClone(stream, { transfer: [stream] });
    return true;
  } catch {
    return false;
  }
}

export interface Topic {
  readonly place: Place;
  /** In clear, from the address or a document. */
  readonly name: Signal<string>;
  readonly facts: Signal<ThreadFacts>;
  readonly sections: Signal<readonly DrawnSection[]>;
  readonly state: Signal<ReadState>;
  readonly agreement: Signal<{ agree: number; asked: number }>;
  /** Comments in the first folder that came, once known. */
  readonly expected: Signal<number>;
  /** Whether the worker drew at least once. */
  readonly drawn: Signal<boolean>;
  readonly followed: Signal<boolean>;
  readonly showHidden: Signal<boolean>;
  readonly sorted: Signal<Order>;
  readonly collapsed: Signal<ReadonlySet<Hash>>;
  /** Comments that only one server has. */
  readonly onOne: Signal<ReadonlySet<Hash>>;
  /** Own deletes that can still be taken back: the comment's id and when it goes. */
  readonly going: Signal<ReadonlyMap<Hash, number>>;
  /** list: where it stands, if it is an act of the reader's list. */
  own(bytes: Uint8Array, list?: Place): void;
  undo(id: Hash): void;
  sent(id: Hash): void;
  settle(): void;
  apply(): void;
  retry(): void;
  follow(on: boolean): void;
  close(): void;
}

/** Ends the reading of places but those that are wanted. */
export function stopReading(stops: Map<string, () => void>, wanted: readonly Place[]): void {
  const names = wanted.map(placeText);
  for (const [name, stop] of stops) {
    if (names.includes(name)) continue;
    stop();
    stops.delete(name);
  }
}

export function openTopic(place: Place, knownName: string): Topic {
  const name = signal(knownName);
  const facts = signal<ThreadFacts>(noFacts);
  const sections = signal<readonly DrawnSection[]>([]);
  const state = signal<ReadState>("searching");
  const agreement = signal({ agree: 0, asked: 0 });
  const expected = signal(0);
  const drawn = signal(false);
  const followed = signal(false);
  const showHidden = signal(false);
  const sorted = signal<Order>(order.peek());
  const collapsed = signal<ReadonlySet<Hash>>(new Set<Hash>());
  const going = signal<ReadonlyMap<Hash, number>>(new Map<Hash, number>());
  const onOne = signal<ReadonlySet<Hash>>(new Set<Hash>());
  const byKey = new Map<string, DrawnSection>();
  const readers: TopicReader[] = [];
  const listReaders = new Map<string, () => void>();
  let closed = false;
  let opened = false;
  let isLive = false;
  /** One server was asked before the network. */
  let looked = false;
  const held = signal<Held | undefined>(undefined);

  const channel = openChannel(take);
  const { session } = channel;
  const reading = (): Reading => ({
    order: sorted.value,
    mine: people.value.map(({ key }) => key),
    muted: muted.value,
    lists: lists.value.map((list) => list.place),
    showHidden: showHidden.value,
  });
  const stopSaying = effect(() => {
    const now = reading();
    channel.send(!opened ? { kind: "open", session, place, reading: now, quiet: false } : { kind: "reading", session, reading: now });
    opened = true;
  });
  const stopLists = effect(() => {
    const used = net.value === undefined ? [] : lists.value;
    // A list that is off asks nobody, and neither do its delegates'.
    stopReading(listReaders, []);
    for (const { place: list } of used) void readList(list);
  });

  /** Reads a list, or a delegate's. */
  async function readList(where: Place): Promise<void> {
    const key = placeText(where);
    if (closed || listReaders.has(key)) return;
    const waits = (): void => undefined;
    listReaders.set(key, waits);
    const { readAgain } = await import("./rounds.ts");
    if (listReaders.get(key) === waits) listReaders.set(key, readAgain(where, (files, server) => sendFiles(files, server, where)));
  }

  function sendFiles(files: readonly File[], server: string, list?: Place): void {
    warmMarkdown();
    const pack = packFiles(files.map(({ bytes }) => bytes));
    const ids = files.map(({ id, sum }) => (sum?.collision === false ? id : undefined));
    channel.send({ kind: "files", session, server, pack, ids, ...(list !== undefined ? { list } : {}) }, [pack]);
  }

  function take(message: FromThread): void {
    if (closed) return;
    switch (message.kind) {
      case "held":
        if (message.ids.length === 0) void lookFirst();
        else startReading(message);
        return;
      case "looked":
        startReading(message);
        return;
      case "markdown":
        warmMarkdown();
        return;
      case "thread": {
        const keys = new Set(message.order);
        for (const key of byKey.keys()) if (!keys.has(key)) byKey.delete(key);
        for (const key of message.order) {
          if (!byKey.has(key)) byKey.set(key, { key, rows: signal<readonly DrawnRow[]>([]) });
        }
        batch(() => {
          facts.value = message.facts;
          if (message.facts.name !== "") name.value = message.facts.name;
          const before = sections.peek();
          const same = before.length === message.order.length && before.every(({ key }, i) => key === message.order[i]);
          next = same ? undefined : message.order.map((key) => byKey.get(key) as DrawnSection);
          arrange();
          if (message.order.length === 0) drawn.value = true;
        });
        return;
      }
      case "section":
        void draw(message.section.key, message.section.rows);
        return;
      case "delegates":
        // Whom an owner dismissed nobody hears: else one who goes on naming others would have ever more read.
        stopReading(listReaders, [...lists.peek().map((list) => list.place), ...message.places]);
        for (const where of message.places) void readList(where);
        return;
    }
  }

  /** Sections as they will be. */
  let next: readonly DrawnSection[] | undefined;
  /** What is seen stays until there is what comes in its place. */
  function arrange(): void {
    if (next === undefined || next[0]?.rows.peek().length === 0) return;
    sections.value = next;
    next = undefined;
  }

  const turns = new Map<string, number>();
  /** Shows a section once all its bodies are trees: drawn twice, they would move. */
  async function draw(key: string, rows: readonly Row[]): Promise<void> {
    const turn = (turns.get(key) ?? 0) + 1;
    turns.set(key, turn);
    const known = rows.map((row) => (row.plain || row.body === "" ? { tree: undefined } : knownTree(row.body)));
    const trees = known.every((each) => each !== undefined)
      ? known.map(({ tree }) => tree)
      : await Promise.all(rows.map((row, i) => known[i] === undefined ? treeOf(row.body) : known[i].tree));
    if (closed || turns.get(key) !== turn) return;
    const section = byKey.get(key);
    if (section === undefined) return;
    batch(() => {
      section.rows.value = rows.map((row, i) => ({ row, tree: trees[i] }));
      arrange();
      drawn.value = true;
    });
    // They are seen before the network is asked for.
    requestAnimationFrame(() => setTimeout(startNet));
  }

  /** What one server has is here before the network is. */
  async function lookFirst(): Promise<void> {
    if (looked) return;
    looked = true;
    const origin = net.peek() === undefined ? await firstServer() : undefined;
    if (origin === undefined) return startReading(nothing);
    state.value = "reading";
    if (!movesStreams()) return channel.send({ kind: "first", session, origin });
    // It is asked while the worker is made, which reads the answer. Others are asked if it is silent.
    const silent = setTimeout(startReading, silentMillis, nothing);
    const answer = await askFolder({ origin, fetch: (url, init) => fetch(url, init) }, place, AbortSignal.timeout(firstMillis)).catch(() => undefined);
    clearTimeout(silent);
    if (answer?.ok !== true || answer.body === null) startReading(nothing);
    else if (!closed) channel.send({ kind: "first", session, origin, body: answer.body }, [answer.body]);
  }

  function startReading(here: Held): void {
    held.value = here;
    // What is here is drawn first.
    if (here.ids.length === 0) void startNet();
  }

  const stopStarting = effect(() => {
    const made = net.value;
    const here = held.value;
    if (made === undefined || here === undefined || closed || readers.length > 0) return;
    readers.push(
      made.read(place, new Set(here.ids), {
        files: (files, server) => sendFiles(files, server),
        total: (n) => (expected.value = n),
        state: (next) => {
          state.value = next;
          if ((next === "live" || next === "empty") && !isLive) {
            isLive = true;
            channel.send({ kind: "live", session });
          }
        },
        agreement: (agree, asked) => (agreement.value = { agree, asked }),
        onOneServer: (ids) => (onOne.value = ids),
        folder: (id) => channel.send({ kind: "folder", session, id }),
      }, here.folder === "" ? undefined : here.folder),
    );
  });
  const stops = [stopSaying, stopLists, stopStarting];

  // What is kept is asked for first, unless there can be nothing: a database that is new takes its time.
  if (isFirstVisit()) void lookFirst();
  void keeping.then(async (keep) => {
    const kept = await keptTopic(keep, place).catch(() => undefined);
    if ((kept?.packs ?? 0) === 0) void lookFirst();
    followed.value = kept?.followed ?? false;
    if (kept !== undefined && kept.name !== "" && name.peek() === "") name.value = kept.name;
    if ((kept?.replies.length ?? 0) > 0) await changeTopic(keep, place, { replies: [] }).catch(() => undefined);
  });

  return {
    place, name, facts, sections, state, agreement, expected, drawn, followed, showHidden, sorted, collapsed, going, onOne,
    own: (bytes, list) => channel.send({ kind: "own", session, bytes, ...(list !== undefined ? { list } : {}) }),
    undo: (id) => channel.send({ kind: "undo", session, id }),
    sent: (id) => channel.send({ kind: "sent", session, id }),
    settle: () => channel.send({ kind: "settle", session }),
    apply: () => channel.send({ kind: "apply", session }),
    retry: () => readers.forEach((reader) => reader.retry()),
    follow(on) {
      followed.value = on;
      void keeping.then((keep) => changeTopic(keep, place, { followed: on, name: name.peek() })).catch(() => undefined);
    },
    close() {
      closed = true;
      for (const stop of stops) stop();
      for (const reader of readers) reader.close();
      stopReading(listReaders, []);
      channel.send({ kind: "close", session });
      channel.close();
      const [known, comments] = [name.peek(), facts.peek().total];
      void keeping.then((keep) => changeTopic(keep, place, { name: known, comments })).catch(() => undefined);
    },
  };
}
