// The servers: who was named, who proved itself, who may be asked. But for the first look at a topic (workers/first.ts)
// and a folder asked for early, nothing is asked of a server before it proved by a signed hello that it is one; one key is
// one server, however many addresses it has. Strangers name whom they like, so what they name is bounded in number and in
// tries.

import { type Server } from "../protocol/client.ts";
import { canonicalOrigin, type Hello } from "../protocol/hello.ts";
import type { Hash } from "../protocol/hash.ts";
import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import { about, atEnd, pause, race, until, within } from "./deadline.ts";
import { isMixed, isPrivatePage, mayDial, networkOf } from "./guard.ts";
import type { Carrier, FoundBy, Missed, ServerView } from "./net.ts";
import { type Reason, reasonOf, Trouble } from "./reasons.ts";

/** How many servers are known at once; of those, how many that a stranger named. */
export const maxServers = 64;
export const maxStrangers = 40;
/** Enough working servers, each of another network: no more are looked for. */
export const enough = 3;
/** Hellos waited for at once. Those that take longer than patience no longer count, up to the second number. */
const maxAsking = 4;
const maxAskingSlow = 12;
const patienceMillis = 1500;
/** A hello. */
const helloMillis = 8000;
/** Of the ways to one server each begins so long after the one before it: HTTP, then WebTransport. */
const headStartMillis = 400;
/** After a failure, doubling: what a person or the site named, and what strangers named. */
const firstAgainMillis = { named: 3000, stranger: 60_000 };
const lastAgainMillis = 30 * 60_000;
/** Changes are told at most so often. */
export const frameMillis = 16;
/** Of one network, so many servers that strangers named. */
const maxOfNetwork = 2;
/** Servers and trackers kept for the next visit, and for how long without a good answer. */
export const maxRemembered = 16;
const maxAgeMillis = 60 * 24 * 60 * 60_000;

/** A way to a server that is there: requests go through it. */
export interface Line {
  readonly carrier: Carrier;
  /** What requests' URLs begin with; of carriers other than HTTP anything. */
  readonly server: Server;
  /** Ends when the connection does. HTTP has none. */
  readonly closed?: AbortSignal;
  close?(): void;
}

/** What a hello said of WebTransport, and whose it was. It may be anything: webtransport.ts judges it. */
export interface Pins {
  readonly key: string;
  readonly at: unknown;
}

/** What a way to a server led to. */
export interface Arrived {
  readonly line: Line;
  readonly hello: Hello;
  /** The origin of it whose host that is. */
  readonly origin: string;
}

/** Who may be asked: a server, another reader's page, or what ipfs.ts has in their place. */
export interface Giver {
  readonly key: string;
  readonly line: Omit<Line, "carrier"> & { readonly carrier: Carrier | "ipfs" };
  readonly network: string;
  /** Ends when it is not to be asked any more: it failed, lied, or the page closes. */
  readonly gone: AbortSignal;
  /** Until then it asked not to be asked. Milliseconds since 1970. */
  restUntil: number;
  took: number;
}

/** A server that proved itself. */
export interface Peer extends Giver {
  readonly line: Line;
  /** A person or the site chose it. */
  readonly named: boolean;
  readonly hello: Hello;
}

/** What is kept from visit to visit. */
export interface Remembered {
  /** named: a person or the site chose it. */
  readonly servers: readonly { readonly origin: string; readonly answered: number; readonly named: boolean; readonly pins: Pins | undefined }[];
  readonly trackers: readonly string[];
}

export interface ServersHost {
  /** Where the page is; undefined where there is none. */
  readonly page: URL | undefined;
  /** A line by HTTP. */
  http(origin: string): Line;
  /** Reaches a server by WebTransport at the host of one of its origins; typed is the one that may be private. Undefined where the browser has none. */
  readonly webtransport: ((pins: Pins, origins: readonly string[], typed: string | undefined, signal: AbortSignal) => Promise<Arrived>) | undefined;
  hello(line: Line, named: boolean, signal: AbortSignal): Promise<Hello>;
  remember(servers: Remembered["servers"]): void;
  now(): number;
}

export interface Servers {
  views(): readonly ServerView[];
  changed(listener: () => void): () => void;
  /** Named by somebody: it is asked when its turn comes. Says why not, if never. */
  offer(origin: string, foundBy: FoundBy): Reason | undefined;
  /** What an earlier visit left. */
  recall(servers: Remembered["servers"]): void;
  /** A line that was opened otherwise, and the hello that came over it. */
  take(line: Line, hello: Hello, host: string, foundBy: FoundBy): void;
  /** Typed: it is asked now. */
  add(origin: string): Promise<ServerView>;
  /** Servers with this community are wanted from now on. */
  want(community: Hash): void;
  /** Those that may be asked, the best first. */
  peers(community: Hash): readonly Peer[];
  /** Whether there are enough of them, of different networks. */
  isEnough(community: Hash): boolean;
  /** Lines to servers that were chosen or proven before, while they prove themselves again. */
  asking(): readonly Line[];
  /** Calls back when there is another one. */
  onPeer(listener: () => void): () => void;
  /** Waits for the first one, for so long at most. */
  first(community: Hash, millis: number, signal: AbortSignal): Promise<void>;
  /** Whether servers are still being asked for the first time. */
  searching(): boolean;
  good(peer: Giver, took: number): void;
  /** Tells of an error of one. True if the peer is gone by it. */
  failed(peer: Giver, error: unknown): boolean;
  /** Tells that the peer cannot be used for something, which is no fault. */
  remark(peer: Giver, reason: Reason): void;
  retry(): void;
  /** Hears of hellos' trackers and of servers that are proven. */
  onHello(listener: (hello: Hello) => void): void;
  close(): void;
}

interface Entry {
  id: string;
  origin?: string | undefined;
  foundBy: FoundBy;
  /** A person or the site chose it, now or at an earlier visit. */
  named: boolean;
  /** What it is asked through while it proves itself. */
  line?: Line | undefined;
  carrier?: Carrier | undefined;
  state: ServerView["state"];
  answered?: number | undefined;
  took?: number | undefined;
  reason?: Reason | undefined;
  hello?: Hello | undefined;
  pins?: Pins | undefined;
  /** Ways to it that were tried the last time, in vain. */
  missed: Missed[];
  /** Tries that failed since the last good answer, and when to try again. */
  tries: number;
  again: number;
  asked: number;
  peer?: (Peer & { end: AbortController }) | undefined;
  waiting: ((view: ServerView) => void)[];
}

const chosen: ReadonlySet<FoundBy> = new Set(["typed", "config", "host"]);
/** In which order they are asked. */
const order: readonly FoundBy[] = ["typed", "host", "config", "remembered", "hello", "tracker"];

export function createServers(host: ServersHost): Servers {
  const entries = new Set<Entry>();
  const lied = new Set<string>();
  const wanted = new Set<Hash>();
  const listeners = new Set<() => void>();
  const peerListeners = new Set<() => void>();
  const helloListeners = new Set<(hello: Hello) => void>();
  const life = new AbortController();
  const pageIsPrivate = isPrivatePage(host.page);
  let frame: ReturnType<typeof setTimeout> | undefined;
  let alarm: ReturnType<typeof setTimeout> | undefined;

  function touched(): void {
    frame ??= setTimeout(() => {
      frame = undefined;
      for (const listener of [...listeners]) listener();
    }, frameMillis);
  }

  const working = (): Entry[] => [...entries].filter(({ peer }) => peer !== undefined);
  /** Working servers of use, each network once. */
  const networks = (entries: readonly Entry[]): number => new Set(entries.map(({ peer }) => peer?.network)).size;
  const useful = ({ hello }: Entry): boolean => wanted.size === 0 || hello === undefined || hello.communities.some((id) => wanted.has(id));

  function entryOf(origin: string | undefined, foundBy: FoundBy, named = chosen.has(foundBy)): Entry {
    return {
      id: origin ?? "",
      origin,
      foundBy,
      named,
      state: "unused",
      missed: [],
      tries: 0,
      again: 0,
      asked: 0,
      waiting: [],
    };
  }

  // ---- the ways to a server: HTTP, WebTransport, and what rtc.ts brings

  const isHTTP = (origin: string): boolean => !isMixed(host.page, new URL(origin));
  /** Whether a server can be asked by what is known of it. */
  const canAsk = ({ origin, pins }: Entry): boolean => origin !== undefined && (isHTTP(origin) || (pins !== undefined && host.webtransport !== undefined));

  /** Goes to a server by HTTP, where the browser lets this page, and after a head start by WebTransport. */
  function reach(entry: Entry, origins: readonly string[], byHTTP: boolean, parent: AbortSignal): Promise<Arrived> {
    const { origin = "", pins, named } = entry;
    const told = (carrier: Carrier, way: (signal: AbortSignal) => Promise<Arrived>) => (signal: AbortSignal) =>
      way(signal).catch((error: unknown) => {
        // Who was overtaken has not failed; who was too slow has.
        if (!signal.aborted || signal.reason instanceof Trouble) entry.missed = [...entry.missed, { carrier, reason: unproven(reasonOf(error)) }];
        throw error;
      });
    const ways: ((signal: AbortSignal) => Promise<Arrived>)[] = [];
    if (byHTTP) {
      const line = (entry.line = host.http(origin));
      ways.push(told("http", async (signal) => ({ line, hello: await host.hello(line, named, signal), origin })));
    }
    const open = host.webtransport;
    if (open !== undefined && pins !== undefined) ways.push(told("webtransport", (signal) => open(pins, origins, named ? origin : undefined, signal)));
    entry.missed = [];
    return within(parent, helloMillis, (signal) => race(ways, headStartMillis, signal, ({ line }) => line.close?.()));
  }

  /** Makes room for another entry, at the cost of one that is of no use. */
  function makeRoom(stranger: boolean): boolean {
    const strangers = [...entries].filter(({ foundBy, named }) => !named && foundBy !== "remembered");
    if (entries.size < maxServers && (!stranger || strangers.length < maxStrangers)) return true;
    const useless = (stranger ? strangers : [...entries]).filter(({ state, peer }) => state === "failed" && peer === undefined);
    const worst = useless.sort((a, b) => b.tries - a.tries)[0];
    if (worst === undefined) return false;
    entries.delete(worst);
    return true;
  }

  function offer(text: string, foundBy: FoundBy, named = chosen.has(foundBy), answered?: number, pins?: Pins): Reason | undefined {
    const origin = canonicalOrigin(text);
    if (origin === undefined) return { code: "bad-address", detail: text };
    const known = [...entries].find((entry) => entry.origin === origin);
    if (known !== undefined) {
      if (order.indexOf(foundBy) < order.indexOf(known.foundBy)) known.foundBy = foundBy;
      known.named ||= named;
      known.answered ??= answered;
      known.pins ??= pins;
      return undefined;
    }
    const url = new URL(origin);
    if (!named && !pageIsPrivate && !mayDial(url)) return { code: "private-address", detail: origin };
    const entry = entryOf(origin, foundBy, named);
    entry.answered = answered;
    entry.pins = pins;
    const mixed: Reason | undefined = canAsk(entry) ? undefined : { code: "mixed-content", detail: origin };
    const isStranger = !named && foundBy !== "remembered";
    if (isStranger) {
      // What cannot be asked is no use to anybody but a person who wonders.
      if (mixed !== undefined) return mixed;
      const near = [...entries].filter((entry) => !entry.named && entry.origin !== undefined && networkOf(new URL(entry.origin).hostname) === networkOf(url.hostname));
      if (near.length >= maxOfNetwork) return undefined;
    }
    if (!makeRoom(isStranger)) return undefined;
    entries.add(entry);
    if (mixed !== undefined) {
      // It may still be met over a data channel, and then turns out to be the same.
      entry.state = "failed";
      entry.reason = mixed;
      entry.again = Number.POSITIVE_INFINITY;
    }
    touched();
    pump();
    return undefined;
  }

  /** Asks who is next, as many at once as may be. */
  function pump(): void {
    clearTimeout(alarm);
    if (life.signal.aborted) return;
    const now = host.now();
    const asking = [...entries].filter(({ state }) => state === "asking");
    let slots = maxAsking - asking.filter(({ asked }) => now - asked < patienceMillis).length;
    slots = Math.min(slots, maxAskingSlow - asking.length);
    const due = [...entries]
      .filter(({ origin, state, peer, waiting }) => origin !== undefined && peer === undefined && state !== "asking" && state !== "lied" && waiting.length === 0)
      .sort((a, b) => a.tries - b.tries || order.indexOf(a.foundBy) - order.indexOf(b.foundBy) || (b.answered ?? 0) - (a.answered ?? 0));
    const missing = enough - networks(working().filter(useful));
    let wantedNow = Math.min(slots, Math.max(0, missing - asking.filter(({ asked }) => now - asked < patienceMillis).length));
    let next = asking.length > 0 ? now + patienceMillis : Number.POSITIVE_INFINITY;
    if (missing > 0) {
      for (const entry of due) {
        if (entry.again <= now && wantedNow > 0) {
          wantedNow--;
          void prove(entry);
        } else next = Math.min(next, Math.max(entry.again, now + patienceMillis));
      }
    }
    if (next < Number.POSITIVE_INFINITY) alarm = setTimeout(pump, Math.max(50, next - now));
  }

  async function prove(entry: Entry): Promise<void> {
    const origin = entry.origin as string;
    const began = host.now();
    entry.state = "asking";
    entry.asked = began;
    touched();
    try {
      const arrived = await reach(entry, [origin], isHTTP(origin), life.signal);
      if (life.signal.aborted) return arrived.line.close?.();
      entry.took = host.now() - began;
      proven(entry, arrived.line, arrived.hello, new URL(origin).hostname);
    } catch (error) {
      if (life.signal.aborted) return;
      // It may have come by a data channel meanwhile.
      if (entry.peer === undefined) fail(entry, unproven(reasonOf(error)));
    }
    entry.line = undefined;
    settle(entry);
    pump();
  }

  /** Goes over from a data channel to WebTransport, where that works. Where HTTP may, it is asked by its own entry, and first. */
  async function improve(entry: Entry, { hello: { urls }, gone }: Peer): Promise<void> {
    if (entry.pins === undefined || host.webtransport === undefined) return;
    const began = host.now();
    const origins = entry.origin === undefined ? urls : [entry.origin, ...urls];
    if (origins.some((url) => canonicalOrigin(url) !== undefined && isHTTP(url))) await pause(headStartMillis, gone);
    try {
      const { line, hello, origin } = await reach(entry, origins, false, gone);
      if (gone.aborted) return line.close?.();
      // It may have been named by this origin before, where the page cannot ask.
      const found = [...entries].find((other) => other !== entry && other.origin === origin && other.peer === undefined) ?? entryOf(origin, entry.foundBy);
      found.took = host.now() - began;
      proven(found, line, hello, new URL(origin).hostname);
    } catch {
      // entry.missed says why.
      touched();
    }
  }

  function settle(entry: Entry): void {
    const view = viewOf(entry);
    for (const resolve of entry.waiting.splice(0)) resolve(view);
    touched();
  }

  function fail(entry: Entry, reason: Reason): void {
    entry.state = reason.code === "lied" ? "lied" : "failed";
    entry.reason = reason;
    const first = entry.named || entry.answered !== undefined ? firstAgainMillis.named : firstAgainMillis.stranger;
    entry.again = host.now() + about(Math.min(first * 2 ** entry.tries, lastAgainMillis));
    if (!canAsk(entry)) entry.again = Number.POSITIVE_INFINITY;
    entry.tries++;
  }

  /** An entry's line led to a server. It may be one that is known already. */
  function proven(entry: Entry, line: Line, hello: Hello, hostname: string): void {
    // A server that was known by its certificates and is found anew may have others by now.
    const same = entry.peer !== undefined ? entry : [...entries].find((other) => other !== entry && (other.hello?.key ?? other.pins?.key) === hello.key);
    if (lied.has(hello.key)) {
      fail(entry, { code: "lied", detail: "" });
      line.close?.();
      return;
    }
    let into = entry;
    if (same !== undefined) {
      // Of two ways to one server a data channel is the worse one, and of two others the first is kept.
      const better = same.peer === undefined || (same.peer.line.carrier === "webrtc" && line.carrier !== "webrtc");
      if (same !== entry) entries.delete(entry);
      if (order.indexOf(entry.foundBy) < order.indexOf(same.foundBy)) same.foundBy = entry.foundBy;
      same.named ||= entry.named;
      same.waiting.push(...entry.waiting.splice(0));
      if (!better) {
        line.close?.();
        settle(same);
        return;
      }
      const worse = same.peer;
      same.peer = undefined;
      worse?.end.abort(new Trouble("broke"));
      same.origin = entry.origin ?? same.origin;
      same.took = entry.took;
      into = same;
    }
    use(into, line, hello, hostname);
    settle(into);
  }

  function use(entry: Entry, line: Line, hello: Hello, hostname: string): void {
    const end = new AbortController();
    entry.id = hello.key;
    entry.hello = hello;
    entry.pins = hello.webtransport == null ? undefined : { key: hello.key, at: hello.webtransport };
    entry.carrier = line.carrier;
    entry.answered = host.now();
    entry.tries = 0;
    entry.again = 0;
    entry.state = "working";
    entry.reason = useful(entry) ? undefined : { code: "other-community", detail: "" };
    if (entry.reason !== undefined) entry.state = "unused";
    const { named } = entry;
    const peer = {
      key: hello.key,
      line,
      // Of those that a person or the site chose each counts: they were not chosen by who wants to be many.
      network: named ? (entry.origin ?? hello.key) : networkOf(hostname),
      named,
      hello,
      gone: end.signal,
      end,
      restUntil: 0,
      took: entry.took ?? 0,
    };
    entry.peer = peer;
    atEnd(end.signal, () => line.close?.());
    atEnd(line.closed, () => {
      if (entry.peer !== peer) return;
      if (line.closed?.reason instanceof Lie) lied.add(hello.key);
      drop(entry, reasonOf(line.closed?.reason));
      touched();
      pump();
    });
    if (line.carrier === "webrtc") {
      void improve(entry, peer);
      for (const url of hello.urls) offer(url, entry.foundBy === "tracker" ? "tracker" : "hello");
    }
    for (const url of hello.servers) offer(url, "hello");
    for (const listener of [...helloListeners]) listener(hello);
    remember();
    for (const listener of [...peerListeners]) listener();
  }

  function remember(): void {
    const now = host.now();
    const servers = [...entries]
      .flatMap(({ origin, answered, named, pins }) => {
        if (origin === undefined || answered === undefined || now - answered > maxAgeMillis) return [];
        return [{ origin, answered, named, pins }];
      })
      .sort((a, b) => b.answered - a.answered)
      .slice(0, maxRemembered);
    host.remember(servers);
  }

  function drop(entry: Entry, reason: Reason): void {
    const { peer } = entry;
    entry.peer = undefined;
    fail(entry, reason);
    peer?.end.abort(new Trouble(reason.code, reason.detail));
  }

  function take(line: Line, hello: Hello, hostname: string, foundBy: FoundBy): void {
    if (life.signal.aborted || !makeRoom(true)) return line.close?.();
    const entry = entryOf(undefined, foundBy);
    entry.id = hello.key;
    entries.add(entry);
    proven(entry, line, hello, hostname);
    touched();
    pump();
  }

  function entryFor(peer: Giver): Entry | undefined {
    return [...entries].find((entry) => entry.peer === peer);
  }

  function viewOf({ id, origin, foundBy, carrier, state, answered, took, reason, missed, hello, peer }: Entry): ServerView {
    const hasRested = peer !== undefined && peer.restUntil <= host.now() && (reason?.code === "rate-limited" || reason?.code === "busy");
    return {
      id,
      origin,
      foundBy,
      carrier,
      state,
      answered,
      took,
      reason: hasRested ? undefined : reason,
      missed,
      contact: hello?.contact ?? "",
      limits: hello?.limits,
    };
  }

  function onPeer(listener: () => void): () => void {
    peerListeners.add(listener);
    return () => void peerListeners.delete(listener);
  }

  return {
    views: () => [...entries].map(viewOf),
    changed: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    offer: (origin, foundBy) => offer(origin, foundBy),
    recall(list) {
      for (const { origin, named, answered, pins } of list) offer(origin, "remembered", named, answered, pins);
    },
    take,
    async add(text) {
      const origin = canonicalOrigin(/^https?:\/\//i.test(text) ? text : `http://${text}`);
      const refused = origin === undefined ? { code: "bad-address" as const, detail: text } : offer(origin, "typed");
      const entry = [...entries].find((each) => each.origin === origin);
      if (origin === undefined || refused !== undefined || entry === undefined) {
        return viewOf({ ...entryOf(text, "typed"), state: "failed", reason: refused ?? { code: "too-much", detail: text } });
      }
      if (entry.peer !== undefined || !canAsk(entry) || entry.state === "lied") return viewOf(entry);
      return new Promise((resolve) => {
        entry.waiting.push(resolve);
        if (entry.state !== "asking") void prove(entry);
      });
    },
    want(community) {
      if (wanted.has(community)) return;
      wanted.add(community);
      for (const entry of working()) {
        if (entry.state === "unused" && useful(entry)) {
          entry.state = "working";
          entry.reason = undefined;
        }
      }
      pump();
    },
    peers(community) {
      const now = host.now();
      return working()
        .flatMap(({ peer }) => (peer !== undefined && peer.hello.communities.includes(community) ? [peer] : []))
        .sort((a, b) => Number(a.restUntil > now) - Number(b.restUntil > now) || a.took - b.took);
    },
    isEnough: (community) => networks(working().filter(({ hello }) => hello?.communities.includes(community))) >= enough,
    asking: () => [...entries].flatMap(({ line, named, foundBy }) => (line !== undefined && (named || foundBy === "remembered") ? [line] : [])),
    onPeer,
    async first(community, millis, signal) {
      let stop = (): void => undefined;
      const come = new Promise<void>((resolve) => {
        const look = (): void => {
          if (working().some(({ hello }) => hello?.communities.includes(community) === true)) resolve();
        };
        stop = onPeer(look);
        look();
      });
      await until(life.signal, within(signal, millis, () => come)).catch(() => undefined);
      stop();
    },
    searching: () => [...entries].some(({ state, peer, tries, again }) => state === "asking" || (state === "unused" && peer === undefined && tries === 0 && again === 0)),
    good(peer, took) {
      const entry = entryFor(peer);
      if (entry === undefined) return;
      entry.answered = host.now();
      entry.took = took;
      // What was slow once may be fast now: the last ones count most.
      peer.took = peer.took === 0 ? took : 0.7 * peer.took + 0.3 * took;
      if (peer.restUntil <= entry.answered && entry.state === "working") entry.reason = undefined;
      touched();
    },
    failed(peer, error) {
      const entry = entryFor(peer);
      if (entry === undefined) return true;
      const reason = reasonOf(error);
      if (error instanceof Problem) {
        entry.reason = reason;
        if (error.retryAfter !== undefined) peer.restUntil = host.now() + error.retryAfter * 1000;
        touched();
        return false;
      }
      if (error instanceof Lie) lied.add(peer.key);
      drop(entry, reason);
      touched();
      pump();
      return true;
    },
    remark(peer, reason) {
      const entry = entryFor(peer);
      if (entry !== undefined) entry.reason = reason;
      touched();
    },
    retry() {
      for (const entry of entries) {
        if (canAsk(entry)) entry.again = 0;
        if (entry.carrier === "webrtc" && entry.peer !== undefined) void improve(entry, entry.peer);
        entry.tries = Math.min(entry.tries, 1);
      }
      pump();
    },
    onHello: (listener) => void helloListeners.add(listener),
    close() {
      life.abort(new Trouble("broke"));
      clearTimeout(alarm);
      for (const entry of entries) {
        entry.peer?.end.abort(life.signal.reason);
        settle(entry);
      }
      clearTimeout(frame);
    },
  };
}

/** What answers somewhere need not be a server at all, so it has told no lie. */
function unproven(reason: Reason): Reason {
  return reason.code === "lied" || reason.code === "refused" ? { code: "no-proof", detail: reason.detail } : reason;
}
