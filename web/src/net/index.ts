// The network of the page: finds servers, reads topics from several of them, posts. net.ts says what the screens get.

import { getHello, type Fetch } from "../protocol/client.ts";
import { type Hash } from "../protocol/hash.ts";
import { chooseVerifier, type Verifier } from "../protocol/signature.ts";
import { isMixed, isPrivatePage, mayDial } from "./guard.ts";
import { httpLine } from "./http.ts";
import type { Net } from "./net.ts";
import { post } from "./post.ts";
import { type Bounds, bounds, readTopic } from "./reader.ts";
import { createServers, frameMillis, maxRemembered, type Remembered } from "./servers.ts";
import { activeTopics } from "./topics.ts";
import type { PeerConnection, Swarm } from "./rtc.ts";

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
}

/** What the browser has. */
export interface NetHost {
  /** Where the page is. */
  readonly page: URL | undefined;
  readonly fetch: Fetch;
  readonly subtle: SubtleCrypto | undefined;
  readonly WebSocket: (new (url: string) => WebSocket) | undefined;
  readonly PeerConnection: PeerConnection | undefined;
  readonly memory: Memory;
  /** Smaller ones, for tests. */
  readonly bounds?: Partial<Bounds>;
}

/** Keeps a little from visit to visit. What comes back may be anybody's, as of an older version. */
export interface Memory {
  load(): Promise<unknown>;
  save(remembered: Remembered): void;
}

/** With an HTTP server at hand trackers are asked only if after so long there are too few. */
const trackersAfter = 1500;

export function createNet(config: NetConfig, host: NetHost): Net {
  const now = (): number => Date.now();
  const life = new AbortController();
  let verifier: Promise<Verifier> | undefined;
  let remembered: Remembered = { servers: [], trackers: [] };
  const trackers = new Set(config.trackers);
  const communities = new Set<Hash>();
  let swarm: Promise<Swarm> | undefined;
  let swarmNow: Swarm | undefined;
  let swarmTimer: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<() => void>();
  let frame: ReturnType<typeof setTimeout> | undefined;

  const keep = (part: Partial<Remembered>): void => {
    remembered = { ...remembered, ...part };
    host.memory.save(remembered);
  };

  const servers = createServers({
    page: host.page,
    http: (origin) => httpLine(origin, host.fetch),
    async hello(line, named, signal) {
      return getHello(line.server, named, signal, await chosen());
    },
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
  servers.onHello((hello) => {
    let isNew = false;
    for (const url of hello.trackers) {
      if (trackers.size >= config.trackers.length + maxRemembered || trackers.has(url) || !mayAsk(url)) continue;
      trackers.add(url);
      swarmNow?.offer(url);
      isNew = true;
    }
    if (isNew) keep({ trackers: [...trackers].filter((url) => !config.trackers.includes(url)).slice(0, maxRemembered) });
  });

  /** Whether a tracker that a stranger named may be asked. */
  function mayAsk(text: string): boolean {
    if (!/^wss?:\/\//.test(text) || !URL.canParse(text)) return false;
    const url = new URL(text);
    return (isPrivatePage(host.page) || mayDial(url)) && !isMixed(host.page, url);
  }

  for (const text of config.typed) servers.offer(text, "typed");
  for (const text of config.servers) {
    if (text !== ".") servers.offer(text, "config");
    else if (host.page !== undefined) servers.offer(host.page.origin, "host");
  }
  void host.memory.load().then(
    (value) => {
      const old = readRemembered(value);
      for (const { origin, named } of old.servers) servers.offer(origin, "remembered", named);
      for (const url of old.trackers) if (mayAsk(url)) trackers.add(url);
    },
    // Nothing is remembered, then.
    () => undefined,
  );

  /** Trackers are the way where no server can be asked by HTTP, and the second way where some can. */
  function want(community: Hash): void {
    servers.want(community);
    if (communities.has(community)) return;
    communities.add(community);
    if (swarmNow !== undefined) return swarmNow.join(community);
    const isHTTPPossible = servers.views().some(({ reason }) => reason?.code !== "mixed-content");
    swarmTimer ??= setTimeout(startSwarm, isHTTPPossible ? trackersAfter : 0);
  }

  function startSwarm(): void {
    swarmTimer = undefined;
    const { PeerConnection, WebSocket } = host;
    if (life.signal.aborted || swarm !== undefined || trackers.size === 0) return;
    if (PeerConnection === undefined || WebSocket === undefined) return;
    if ([...communities].every(servers.isEnough)) {
      // Later perhaps: servers go away.
      swarmTimer = setTimeout(startSwarm, 20 * trackersAfter);
      return;
    }
    swarm = import("./rtc.ts").then(({ createSwarm }) => {
      const made = createSwarm({ servers, stun: config.stun, PeerConnection, WebSocket, page: host.page, verifier: chosen, signal: life.signal, changed });
      for (const url of trackers) made.offer(url);
      for (const community of communities) made.join(community);
      swarmNow = made;
      return made;
    });
    swarm.catch(() => undefined);
  }

  return {
    servers: servers.views,
    changed(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    trackers: () => swarmNow?.views() ?? [...trackers].map((url) => ({ url, state: "unused" as const, found: 0, reason: undefined })),
    read(place, held, sink, folder) {
      want(place.community);
      return readTopic({ servers, page: host.page, topic: place, held, folder, sink, now, bounds: { ...bounds, ...host.bounds } });
    },
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
      servers.close();
      listeners.clear();
    },
  };
}

/** What an earlier visit left, as far as it is of use. */
export function readRemembered(value: unknown): Remembered {
  const { servers, trackers } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  return {
    servers: list(servers).flatMap((each) => {
      const { origin, answered, named } = (typeof each === "object" && each !== null ? each : {}) as Record<string, unknown>;
      return typeof origin === "string" && typeof answered === "number" ? [{ origin, answered, named: named === true }] : [];
    }),
    trackers: list(trackers).filter((url) => typeof url === "string"),
  };
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value.slice(0, maxRemembered) : [];
}
