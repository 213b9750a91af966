// Pages of other readers: who reads a topic that no server gives any more reads it from them, and gives it on. They meet at
// trackers under the topic's own infohash, never under the community's, where servers are looked for. Pages prove nothing:
// what they give is what it is by its hashes and signatures, as with servers, and what is given here is a folder as it came.

import { toHex, utf8 } from "../protocol/bytes.ts";
import { type Hash, hashOf, type Place } from "../protocol/hash.ts";
import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import { within } from "./deadline.ts";
import { type Account, give, maxGiven, maxOfAll, type Offer, openAccount } from "./give.ts";
import { isPrivatePage, networkOf } from "./guard.ts";
import type { Reading, TopicReader, Whole } from "./net.ts";
import { bounds, readTopic, type Sources } from "./reader.ts";
import { Trouble } from "./reasons.ts";
import { connect, connectMillis, type Connection, createSwarm, type DataChannel, described, makePeerId, portOf, type Ways, withoutPrivate } from "./rtc.ts";
import { enough, type Giver, type Line } from "./servers.ts";
import type { Offered } from "./tracker.ts";

/** Readers that are given something at a time, and of those on their way to it. */
export const maxReaders = 8;
export const maxOnTheirWay = 4;
/** A full page leaves who asked nothing for so long for a newcomer. */
export const idleEnough = 10_000;
/** Pages that are asked, or wait to be. */
export const maxPages = 6;
/** Addresses that gave something false, or nothing, and bytes that all pages may bring of one topic. */
const maxBarred = 64;
export const maxTaken = 192 << 20;
/** A page that brought no folder by then makes way, where others wait. */
export const patienceMillis = 60_000;
/** Whether what is kept is a whole folder by now is asked again after so long, doubling. */
const firstAgain = 2000;
const lastAgain = 60_000;

/** The infohash of a topic's swarm. */
export function infohashOf({ community, topic }: Place): Hash {
  return hashOf(utf8(community + topic));
}

export interface PagesView {
  /** Pages that are asked, and readers that are given. */
  readonly pages: number;
  readonly readers: number;
  /** Bytes in this hour, and how many it may be. */
  readonly given: number;
  readonly most: number;
}

/** Of all topics that are opened one after the other. */
let shared: Account | undefined;

export interface PagesHost {
  readonly place: Place;
  readonly reading: Reading;
  readonly ways: Ways;
  readonly trackers: readonly string[];
  /** What may be given; without it the page's own. */
  readonly account?: Account;
  /** The folder's CAR, made of what is kept, of so many bytes at most: empty if it cannot be. */
  car(whole: Whole, most: number): Promise<Uint8Array>;
  /** Whether what is kept still is that folder: its authors may have deleted some of it. */
  isKept(id: string): Promise<boolean>;
  now(): number;
  /** Less than maxTaken, for tests. */
  readonly most?: number;
  changed(view: PagesView): void;
}

export interface Pages {
  /** asks: whether pages are read from; gives: whether they are given to. */
  set(how: { readonly asks: boolean; readonly gives: boolean }): void;
  close(): void;
}

interface Page extends Giver {
  readonly end: AbortController;
}

export function openPages({ place, reading, ways, trackers, account = (shared ??= openAccount(Date.now)), car, isKept, now, most = maxTaken, changed }: PagesHost): Pages {
  const life = new AbortController();
  const infohash = infohashOf(place);
  const peerId = makePeerId();
  const allowPrivate = isPrivatePage(ways.page);
  let how = { asks: false, gives: false };

  /** Tells the screen, and who reads from pages. */
  function tell(): void {
    if (life.signal.aborted) return;
    for (const listener of [...listeners]) listener();
    changed({ pages: pages.length, readers: given.size, given: account.given, most: maxOfAll });
  }

  // ---- pages that are asked

  let pages: Page[] = [];
  const barred = new Set<string>();
  const listeners = new Set<() => void>();
  let reader: TopicReader | undefined;
  let taken = 0;
  let isWhole = false;

  function listen(listener: () => void): () => void {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  const nothing = (): void => undefined;
  const sources: Sources & { isEnough(): boolean } = {
    want: nothing,
    peers: () => pages,
    asking: () => [],
    searching: () => false,
    isEnough: () => reader === undefined || pages.length >= maxPages,
    onPeer: listen,
    changed: listen,
    good: nothing,
    failed(peer, error) {
      if (error instanceof Problem) {
        if (error.retryAfter !== undefined) peer.restUntil = now() + error.retryAfter * 1000;
        return false;
      }
      if (error instanceof Lie) bar(peer);
      leave(peer, error);
      return true;
    },
    remark: nothing,
    retry: nothing,
  };

  function take(line: Line, _: unknown, host?: string): void {
    // Where the browser does not say an address, who is left cannot be told from who comes.
    const key = host ?? toHex(crypto.getRandomValues(new Uint8Array(8)));
    if (sources.isEnough() || barred.has(key) || pages.some((page) => page.key === key)) return line.close?.();
    const end = new AbortController();
    const page: Page = { key, line, network: host === undefined ? key : networkOf(host), gone: end.signal, end, restUntil: 0, took: 0 };
    pages = [...pages, page];
    line.closed?.addEventListener("abort", () => leave(page, line.closed?.reason));
    setTimeout(function look() {
      if (isWhole || !pages.includes(page)) return;
      // Others may come yet.
      if (pages.length <= enough) return void setTimeout(look, patienceMillis);
      bar(page);
      leave(page, new Trouble("timeout"));
    }, patienceMillis);
    tell();
  }

  /** Has an address asked no more, for as long as the thread is open. */
  function bar({ key }: Giver): void {
    if (barred.size < maxBarred) barred.add(key);
  }

  function leave(page: Giver, reason: unknown): void {
    if (!pages.some((each) => each === page)) return;
    pages = pages.filter((each) => each !== page);
    (page as Page).end.abort(reason);
    page.line.close?.();
    tell();
  }

  function beginReading(): void {
    const { sink, whole, held } = reading;
    reader = readTopic({
      servers: sources, page: undefined, topic: place, held: new Set([...held, ...(whole?.names ?? [])]), folder: whole?.id, now, bounds,
      sink: {
        ...sink,
        files(files, server) {
          for (const { bytes } of files) taken += bytes.length;
          sink.files(files, server);
          if (taken > most) endReading();
        },
        // A page that knows nothing of the topic does not make it one that nobody has written in.
        state(state) {
          if (state !== "reading" && state !== "live") return;
          reading.isByPages = true;
          sink.state(state);
        },
        agreement: nothing,
        onOneServer: nothing,
        folder(id, names) {
          isWhole = true;
          const all = new Set(names);
          // A page may leave something out. A server's folder may be smaller and newer; of pages' the largest counts.
          if (all.size <= (reading.whole?.names.size ?? -1)) return;
          reading.whole = { id, names: all };
          sink.folder(id, all);
          wait = firstAgain;
          void prepare();
        },
      },
    });
  }

  function endReading(): void {
    reader?.close();
    reader = undefined;
    for (const page of [...pages]) leave(page, new Trouble("broke"));
    if (!reading.isByPages) return;
    reading.isByPages = false;
    reading.sink.state(reading.state);
  }

  // ---- readers that are given

  const given = new Set<ReturnType<typeof give>>();
  let onTheirWay = 0;
  /** The folder that is given. */
  let ready: Whole | undefined;
  /** Its CAR, made when the first reader asks, for all. */
  let made: { readonly whole: Whole; readonly car: Promise<Uint8Array> } | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  let wait = firstAgain;

  const gives = (): boolean => how.gives && ready !== undefined;

  /** Looks which whole folder is kept: the last one, or still that before it. Of what is kept authors may delete at any time. */
  async function look(): Promise<void> {
    const [last, before] = [reading.whole, ready];
    const isKeptNow = async (whole: Whole | undefined): Promise<boolean> => whole !== undefined && (await isKept(whole.id).catch(() => false));
    ready = (await isKeptNow(last)) ? last : (await isKeptNow(before)) ? before : undefined;
  }

  /** Looks again and again, while pages may give. */
  async function prepare(): Promise<void> {
    if (!how.gives) return;
    const before = ready;
    await look();
    if (ready !== before) swarm.look();
    clearTimeout(again);
    if (life.signal.aborted) return;
    again = setTimeout(() => void prepare(), wait);
    wait = Math.min(2 * wait, lastAgain);
  }

  /** What is given now. */
  async function current(): Promise<Offer | undefined> {
    await look();
    const whole = ready;
    if (!gives() || whole === undefined) return undefined;
    if (made?.whole !== whole) made = { whole, car: car(whole, maxGiven).catch(() => new Uint8Array(0)) };
    const bytes = await made.car;
    await look();
    if (bytes.length > 0) return ready === whole ? { id: whole.id, car: bytes } : undefined;
    // What cannot be given as it came leaves the place to any other.
    if (reading.whole === whole) reading.whole = undefined;
    if (ready === whole) ready = undefined;
    return undefined;
  }

  async function answer({ sdp }: Offered): Promise<string | undefined> {
    if (!gives() || onTheirWay >= maxOnTheirWay || (given.size >= maxReaders && idlest() === undefined)) return undefined;
    onTheirWay++;
    const connection = connect(ways);
    try {
      const arrived = new Promise<void>((resolve) => {
        connection.addEventListener("datachannel", ({ channel }) => {
          if (channel === undefined) return;
          // At once: what comes before somebody listens is lost.
          begin(channel, connection);
          resolve();
        });
      });
      await connection.setRemoteDescription({ type: "offer", sdp: withoutPrivate(sdp, allowPrivate) });
      const { sdp: own = "" } = await connection.createAnswer();
      const told = await described(connection, { type: "answer", sdp: own }, life.signal);
      within(life.signal, connectMillis, () => arrived).catch(() => connection.close()).finally(() => onTheirWay--);
      return told;
    } catch (error) {
      onTheirWay--;
      connection.close();
      throw error;
    }
  }

  function begin(channel: DataChannel, connection: Connection): void {
    // Only who is there takes another's place, not who was announced.
    if (given.size >= maxReaders) idlest()?.close();
    if (given.size >= maxReaders) return connection.close();
    channel.binaryType = "arraybuffer";
    const one = give(portOf(channel, connection), infohash, peerId, {
      place,
      offer: current,
      spend(bytes) {
        const isLeft = account.spend(bytes);
        tell();
        return isLeft;
      },
      ended() {
        given.delete(one);
        tell();
      },
    });
    given.add(one);
    tell();
  }

  /** Of the readers the one that asked longest ago, if that is long enough to leave him. */
  function idlest(): ReturnType<typeof give> | undefined {
    const [first] = [...given].sort((a, b) => a.asked - b.asked);
    return first === undefined || now() - first.asked < idleEnough ? undefined : first;
  }

  const swarm = createSwarm({
    ...ways,
    peerId,
    servers: sources,
    async prove(channel) {
      if ((await channel.greeting).extension === 0) throw new Trouble("no-proof");
    },
    take,
    seed: { gives, answer },
    signal: life.signal,
    changed: nothing,
  });
  for (const url of trackers) swarm.offer(url);
  swarm.join(infohash);

  function set(next: Parameters<Pages["set"]>[0]): void {
    how = next;
    if (!how.asks) endReading();
    else if (reader === undefined && taken <= most) beginReading();
    if (!how.gives) for (const one of [...given]) one.close();
    void prepare();
    swarm.look();
  }

  return {
    set,
    close() {
      life.abort(new Trouble("broke"));
      set({ asks: false, gives: false });
    },
  };
}
