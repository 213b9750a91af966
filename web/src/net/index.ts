// The network of the page: finds servers, reads topics from several of them, posts. net.ts says what the screens get.

import { urlOf } from "../protocol/bytes.ts";
import { getHello, type Fetch } from "../protocol/client.ts";
import { fieldsOf } from "../protocol/fields.ts";
import { type Hash, placeText } from "../protocol/hash.ts";
import { channelOrigin, type Hello, openChannelHello } from "../protocol/hello.ts";
import { chooseVerifier, type Verifier } from "../protocol/verifier.ts";
import { isMixed, isPrivatePage, mayDial } from "./guard.ts";
import { httpLine } from "./http.ts";
import { createIPFS } from "./ipfs.ts";
import type { Net, Reading, TopicReader, TopicSink } from "./net.ts";
import { post } from "./post.ts";
import { type Bounds, bounds, readTopic } from "./reader.ts";
import { Trouble } from "./reasons.ts";
import { createSwarm, makePeerId, type PeerConnection, type Swarm } from "./rtc.ts";
import { createServers, frameMillis, type Line, maxRemembered, type Remembered } from "./servers.ts";
import { activeTopics } from "./topics.ts";
import { reach, type Sessions } from "./webtransport.ts";

/** What the site says: config.json beside the page, and the page's own address. */
export interface NetConfig {
  /** Origins of servers; "." is the page's own. */
  readonly servers: readonly string[];
  /** ws:// or wss:// URLs of WebTorrent trackers. */
  readonly trackers: readonly string[];
  /** stun: URLs, by which browsers behind a NAT learn their address. */
  readonly stun: readonly string[];
  /** Of ?server=: a person chose it. */
  readonly typed: readonly string[];
  /** Of ?folder=: see ipfs.ts. */
  readonly folders?: readonly string[];
}

/** What the browser has. */
export interface NetHost {
  /** Where the page is. */
  readonly page: URL | undefined;
  readonly fetch: Fetch;
  readonly subtle: SubtleCrypto | undefined;
  readonly WebSocket: (new (url: string) => WebSocket) | undefined;
  readonly PeerConnection: PeerConnection | undefined;
  readonly WebTransport: Sessions | undefined;
  readonly memory: Memory;
  /** Starts the worker with the IPFS node; undefined where there is to be none. */
  readonly peer?: (() => Worker) | undefined;
  /** Smaller ones, for tests. */
  readonly bounds?: Partial<Bounds>;
}

/** Keeps a little from visit to visit. What comes back may be anybody's, as of an older version. */
export interface Memory {
  load(): Promise<unknown>;
  save(remembered: Remembered): void;
}

/** With a server at hand by HTTP or WebTransport trackers are asked only if after so long there are too few. */
const trackersAfter = 1500;
/** With enough servers it is looked so often whether there still are. */
const trackersAgain = 15_000;

export function createNet(config: NetConfig, host: NetHost): Net {
  const now = (): number => Date.now();
  const life = new AbortController();
  let verifier: Promise<Verifier> | undefined;
  let remembered: Remembered = { servers: [], trackers: [] };
  const trackers = new Set(config.trackers);
  const communities = new Set<Hash>();
  let swarm: Swarm | undefined;
  let swarmTimer: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<() => void>();
  const readers = new Set<TopicReader>();
  const readings = new Map<string, Reading>();
  let frame: ReturnType<typeof setTimeout> | undefined;

  let isLoaded = false;

  function keep(part: Partial<Remembered>): void {
    remembered = { ...remembered, ...part };
    // Not before what there was is known: it would be lost.
    if (isLoaded) host.memory.save(remembered);
  }

  const { WebTransport } = host;
  const hello = async (line: Line, named: boolean, signal: AbortSignal): Promise<Hello> => getHello(line.server, named, signal, await chosen());
  const servers = createServers({
    page: host.page,
    http: (origin) => httpLine(origin, host.fetch),
    webtransport: WebTransport && ((...where) => reach({ page: host.page, WebTransport, hello, now }, ...where)),
    hello,
    remember: (list) => keep({ servers: list }),
    now,
  });
  const chosen = (): Promise<Verifier> => (verifier ??= chooseVerifier(host.subtle));
  const changed = (): void => {
    frame ??= setTimeout(() => {
      frame = undefined;
      for (const listener of [...listeners]) listener();
    }, frameMillis);
  };
  servers.changed(changed);
  const nodes = new Map<string, readonly string[]>();
  servers.onHello(({ key, trackers, multiaddrs }) => {
    addTrackers(trackers);
    if (nodes.size < maxRemembered) nodes.set(key, multiaddrs);
  });
  const ipfs = host.peer && createIPFS(host.peer, config.folders ?? [], () => [...nodes.values()].flat(), changed);

  /** Trackers that strangers named. */
  function addTrackers(urls: readonly string[]): void {
    for (const url of urls) {
      if (trackers.size >= config.trackers.length + maxRemembered || trackers.has(url) || !mayAsk(url)) continue;
      trackers.add(url);
      swarm?.offer(url);
    }
    const found = [...trackers].filter((url) => !config.trackers.includes(url));
    if (found.length === 0) return;
    keep({ trackers: found });
    if (communities.size > 0) schedule(trackersAfter);
  }

  /** Whether a tracker that a stranger named may be asked. */
  function mayAsk(text: string): boolean {
    const url = urlOf(text);
    return url !== undefined && /^wss?:$/.test(url.protocol) && (isPrivatePage(host.page) || mayDial(url)) && !isMixed(host.page, url);
  }

  for (const text of config.typed) servers.offer(text, "typed");
  for (const text of config.servers) {
    if (text !== ".") servers.offer(text, "config");
    else if (host.page !== undefined) servers.offer(host.page.origin, "host");
  }
  // Where memory fails nothing is remembered, then.
  void host.memory
    .load()
    .catch(() => undefined)
    .then((value) => {
      if (life.signal.aborted) return;
      isLoaded = true;
      const old = readRemembered(value);
      servers.recall(old.servers);
      addTrackers(old.trackers);
    });

  /** Trackers are the way where no server can be asked by HTTP or WebTransport, and the second way where some can. */
  function want(community: Hash): void {
    servers.want(community);
    if (communities.has(community)) return;
    communities.add(community);
    if (swarm !== undefined) return swarm.join(community);
    const isOtherPossible = servers.views().some(({ reason }) => reason?.code !== "mixed-content");
    schedule(isOtherPossible ? trackersAfter : 0);
  }

  function schedule(millis: number): void {
    if (!life.signal.aborted && swarm === undefined) swarmTimer ??= setTimeout(startSwarm, millis);
  }

  function startSwarm(): void {
    const { PeerConnection, WebSocket } = host;
    if (PeerConnection === undefined || WebSocket === undefined) return;
    swarmTimer = undefined;
    if (trackers.size === 0 || [...communities].every(servers.isEnough)) return schedule(trackersAgain);
    swarm = createSwarm({
      servers, peerId: makePeerId(), stun: config.stun, PeerConnection, WebSocket, page: host.page, signal: life.signal, changed,
      async prove(channel, nonce, [server, asker]) {
        const { extension, hello, signature } = await channel.greeting;
        if (extension === 0 || hello === undefined || signature === undefined) throw new Trouble("no-proof");
        return openChannelHello(hello, signature, { nonce, origin: channelOrigin(server, asker), now: now() }, await chosen());
      },
      take: (line, hello, host = hello.key) => servers.take(line, hello, host, "tracker"),
    });
    for (const url of trackers) swarm.offer(url);
    for (const community of communities) swarm.join(community);
  }

  return {
    servers: servers.views,
    changed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    trackers: () => swarm?.views() ?? [...trackers].map((url) => ({ url, state: "unused" as const, found: 0, reason: undefined })),
    useIPFS: (on) => ipfs?.use(on),
    ipfs: () => ipfs?.view(),
    read(place, held, sink, folder) {
      want(place.community);
      const key = placeText(place);
      const reading: Reading = { held, sink, whole: folder === undefined ? undefined : { id: folder, names: held }, state: "searching", isByPages: false };
      const reader = readTopic({ servers, page: host.page, topic: place, held, folder, sink: ofServers(reading), now, ipfs, bounds: { ...bounds, ...host.bounds } });
      readers.add(reader);
      readings.set(key, reading);
      return {
        close() {
          readers.delete(reader);
          if (readings.get(key) === reading) readings.delete(key);
          reader.close();
        },
        retry: reader.retry,
      };
    },
    ways: host.PeerConnection && host.WebSocket && { stun: config.stun, PeerConnection: host.PeerConnection, WebSocket: host.WebSocket, page: host.page },
    reading: (place) => readings.get(placeText(place)),
    post(place, bytes, count, told, signal) {
      want(place.community);
      return post(servers, place, bytes, count, told, signal);
    },
    active(community, signal) {
      want(community);
      return activeTopics(servers, community, signal);
    },
    add: servers.add,
    close() {
      clearTimeout(swarmTimer);
      clearTimeout(frame);
      life.abort();
      for (const reader of readers) reader.close();
      readers.clear();
      ipfs?.use(false);
      servers.close();
      listeners.clear();
    },
  };
}

/** Where what servers give goes, and what of it others are told. */
function ofServers(reading: Reading): TopicSink {
  const { sink } = reading;
  return {
    ...sink,
    state(state) {
      reading.state = state;
      if (!reading.isByPages) sink.state(state);
    },
    folder(id, names) {
      const all = new Set(names);
      reading.whole = { id, names: all };
      sink.folder(id, all);
    },
  };
}

/** What an earlier visit left, as far as it is of use. */
export function readRemembered(value: unknown): Remembered {
  const { servers, trackers } = fieldsOf(value);
  return {
    servers: list(servers).flatMap((each) => {
      const { origin, answered, named, pins } = fieldsOf(each);
      const { key, at } = fieldsOf(pins);
      if (typeof origin !== "string" || typeof answered !== "number") return [];
      return [{ origin, answered, named: named === true, pins: typeof key === "string" ? { key, at } : undefined }];
    }),
    trackers: list(trackers).filter((url) => typeof url === "string"),
  };
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, maxRemembered) : [];
}
