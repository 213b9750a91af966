// The desk: what is new in all topics that a moderator follows, newest first. Topics are read as threads are, by the same
// worker, but in rounds and some at once; what was looked at is remembered by its id, since dates are claims.

import { keptTopics } from "../keep/topics.ts";
import { compare, type Place, placeText } from "../protocol/hash.ts";
import type { Row } from "../workers/messages.ts";
import { keeping } from "./page.ts";
import { type Known, openQuiet, readOnce } from "./rounds.ts";
import { type Signal, signal } from "./signals.ts";

/** Topics that are looked at, those visited last first; and how many at once. */
export const maxDeskTopics = 20;
export const deskAtOnce = 4;
/** Rows that stand on the desk; what is older comes when they are seen. */
export const maxDeskRows = 300;
/** What all topics together may make the desk take in one sitting. */
export const maxDeskBytes = 64 << 20;
/** A topic that takes longer waits for the next round. */
const lookMillis = 20_000;
const roundMillis = 60_000;
/** Ids that are remembered of one topic: as many as the worker reads of it (session.ts, maxSourceFiles). */
export const maxSeen = 100_000;
/** 64 bits of an id: to make a comment that passes for one that was seen takes 2^47 tries and more. */
const seenDigits = 16;

export interface DeskRow {
  /** The comment and its topic: one plain text stands in many. */
  readonly name: string;
  readonly place: Place;
  readonly topic: string;
  readonly row: Row;
}

interface DeskTopic {
  readonly place: Place;
  name: string;
  rows: readonly Row[];
  /** What was seen at earlier sittings, and now. */
  readonly before: ReadonlySet<string>;
  readonly seen: Set<string>;
}

export interface Desk {
  readonly rows: Signal<readonly DeskRow[]>;
  /** Those that were looked at in this sitting. */
  readonly seen: Signal<ReadonlySet<string>>;
  readonly facts: Signal<{
    readonly topics: number;
    /** Topics that are followed and not looked at, and rows for which there is no room. */
    readonly others: number;
    readonly older: number;
    readonly busy: boolean;
    /** There was more than maxDeskBytes. */
    readonly cut: boolean;
  }>;
  see(rows: readonly DeskRow[]): void;
  /** All that there is, older ones too. */
  seeAll(): void;
  close(): void;
}

/** What is new in some topics, newest first: the first of it, and how much more there is. */
export function newest(topics: readonly Pick<DeskTopic, "place" | "name" | "rows" | "before">[], most = maxDeskRows): { readonly rows: DeskRow[]; readonly older: number } {
  const all = topics.flatMap(({ place, name, rows, before }) =>
    rows.flatMap((row) => (row.mine === true || row.deleted === true || before.has(row.id.slice(0, seenDigits)) ? [] : [{ name: `${place.topic}-${row.id}`, place, topic: name, row }])));
  // Without a date nobody knows: it is looked at first.
  all.sort((a, b) => compare(b.row.date ?? "~", a.row.date ?? "~"));
  return { rows: all.slice(0, most), older: Math.max(0, all.length - most) };
}

export function openDesk(): Desk {
  const rows = signal<readonly DeskRow[]>([]);
  const seen = signal<ReadonlySet<string>>(new Set<string>());
  const facts = signal({ topics: 0, others: 0, older: 0, busy: true, cut: false });
  const ends: (() => void)[] = [];
  const stops = new Set<() => void>();
  const topics: DeskTopic[] = [];
  let closed = false;
  let bytes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let frame: ReturnType<typeof setTimeout> | undefined;

  const seenKey = (place: Place): string => `seen/${placeText(place)}`;

  function collect(): void {
    frame ??= setTimeout(() => {
      frame = undefined;
      const { rows: next, older } = newest(topics);
      rows.value = next;
      facts.value = { ...facts.peek(), older };
    }, 50);
  }

  /** Opens a topic; returns what reads it once. */
  async function open(place: Place, name: string): Promise<() => Promise<void>> {
    const kept = await (await keeping).get("packs", seenKey(place)).catch(() => undefined);
    const before = new Set(String(kept ?? "").match(/.{16}/g));
    const topic: DeskTopic = { place, name, rows: [], before, seen: new Set(before) };
    topics.push(topic);
    const known: Known = { held: new Set() };
    const sections = new Map<string, readonly Row[]>();
    let order: readonly string[] = [];
    let ready = (): void => undefined;
    const isReady = new Promise<void>((resolve) => (ready = resolve));
    const quiet = openQuiet(place, {}, (message) => {
      if (message.kind === "held") {
        for (const id of message.ids) known.held.add(id);
        if (message.folder !== "") known.folder = message.folder;
        ready();
      } else if (message.kind === "thread") {
        order = message.order;
        if (message.facts.name !== "") topic.name = message.facts.name;
        if (message.facts.pending > 0) quiet.ask("apply");
      } else if (message.kind === "section") sections.set(message.section.key, message.section.rows);
      topic.rows = order.flatMap((key) => sections.get(key) ?? []);
      collect();
    });
    const take = quiet.take();
    ends.push(quiet.close);
    return async () => {
      await isReady;
      await new Promise<void>((resolve) => {
        const late = setTimeout(end, lookMillis);
        const stop = readOnce(place, known, (files, server) => {
          for (const file of files) bytes += file.bytes.length;
          if (bytes > maxDeskBytes) {
            facts.value = { ...facts.peek(), cut: true };
            return end();
          }
          take(files, server);
        }, () => {
          quiet.ask("live");
          end();
        });
        stops.add(end);
        function end(): void {
          clearTimeout(late);
          stop();
          stops.delete(end);
          resolve();
        }
      });
    };
  }

  async function begin(): Promise<void> {
    const followed = (await keptTopics(await keeping).catch(() => [])).filter(([, each]) => each.followed);
    facts.value = { ...facts.peek(), topics: Math.min(followed.length, maxDeskTopics), others: Math.max(0, followed.length - maxDeskTopics) };
    const looks = await Promise.all(followed.slice(0, maxDeskTopics).map(([place, { name }]) => open(place, name)));
    while (!closed) {
      facts.value = { ...facts.peek(), busy: true };
      const queue = [...looks];
      const lane = async (): Promise<void> => {
        for (let look = queue.shift(); look !== undefined && !closed && !facts.peek().cut; look = queue.shift()) await look();
      };
      await Promise.all(Array.from({ length: deskAtOnce }, lane));
      facts.value = { ...facts.peek(), busy: false };
      await new Promise((resolve) => (timer = setTimeout(resolve, roundMillis)));
    }
  }
  void begin();

  function keep(topic: DeskTopic): void {
    void keeping.then((kept) => kept.put("packs", seenKey(topic.place), [...topic.seen].slice(-maxSeen).join(""))).catch(() => undefined);
  }

  return {
    rows, seen, facts,
    see(some) {
      const isNew = some.filter(({ name }) => !seen.peek().has(name));
      if (isNew.length === 0) return;
      seen.value = new Set([...seen.peek(), ...isNew.map(({ name }) => name)]);
      for (const topic of topics) {
        const here = isNew.filter(({ place }) => place === topic.place);
        for (const { row } of here) topic.seen.add(row.id.slice(0, seenDigits));
        if (here.length > 0) keep(topic);
      }
    },
    seeAll() {
      for (const topic of topics) {
        for (const { id } of topic.rows) topic.seen.add(id.slice(0, seenDigits));
        keep(topic);
      }
      seen.value = new Set(rows.peek().map(({ name }) => name));
    },
    close() {
      closed = true;
      clearTimeout(timer);
      clearTimeout(frame);
      for (const end of [...stops, ...ends]) end();
    },
  };
}
