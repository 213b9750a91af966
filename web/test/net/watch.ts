// A page's side of the network, as a test looks at it.

import { createNet, type NetConfig, type NetHost } from "../../src/net/index.ts";
import type { File, Net, PostOutcome, ReadState, TopicSink } from "../../src/net/net.ts";
import { type Hash, hashOf } from "../../src/protocol/hash.ts";

export interface Page extends Net {
  /** What was saved for the next visit. */
  saved(): unknown;
}

export function open(config: Partial<NetConfig>, host: Partial<NetHost> & { readonly remembered?: unknown } = {}): Page {
  const { remembered, ...rest } = host;
  let saved: unknown;
  const net = createNet(
    { servers: [], trackers: [], stun: [], typed: [], ...config },
    {
      page: undefined,
      fetch: (url, init) => fetch(url, init),
      subtle: crypto.subtle,
      WebSocket: undefined,
      PeerConnection: undefined,
      WebTransport: undefined,
      memory: { load: async () => remembered, save: (value) => void (saved = structuredClone(value)) },
      ...rest,
    },
  );
  return Object.assign(net, { saved: () => saved });
}

export interface Seen extends TopicSink {
  readonly bodies: Map<Hash, string>;
  readonly batches: { readonly size: number; readonly server: string }[];
  readonly states: ReadState[];
  readonly agreements: string[];
  readonly folders: string[];
  totals: number[];
  alone: ReadonlySet<Hash>;
  /** Bytes of files that are kept. */
  bytes: number;
  /** Resolves as soon as something holds; looks after each call. */
  until(what: string, holds: (seen: Seen) => boolean): Promise<void>;
}

/** A sink that checks what it is given. keep: whether bodies are. */
export function watch(keep = true): Seen {
  const waits = new Set<() => void>();
  const changed = (): void => {
    for (const wait of [...waits]) wait();
  };
  const seen: Seen = {
    bodies: new Map(),
    batches: [],
    states: [],
    agreements: [],
    folders: [],
    totals: [],
    alone: new Set(),
    bytes: 0,
    files(files: readonly File[], server: string) {
      for (const { id, bytes } of files) {
        if (hashOf(bytes) !== id) throw new Error(`${id} has other bytes`);
        seen.bodies.set(id, keep ? new TextDecoder().decode(bytes) : "");
        seen.bytes += bytes.length;
      }
      seen.batches.push({ size: files.length, server });
      changed();
    },
    total(n) {
      seen.totals.push(n);
      changed();
    },
    state(state) {
      seen.states.push(state);
      changed();
    },
    agreement(agree, asked) {
      seen.agreements.push(`${agree}/${asked}`);
      changed();
    },
    onOneServer(ids) {
      seen.alone = ids;
      changed();
    },
    folder(id) {
      seen.folders.push(id);
      changed();
    },
    until(what, holds) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waits.delete(wait);
          reject(new Error(`in vain: ${what}; ${seen.bodies.size} comments, states ${seen.states.join(" ")}, agreements ${seen.agreements.join(" ")}`));
        }, 60_000);
        const wait = (): void => {
          if (!holds(seen)) return;
          clearTimeout(timer);
          waits.delete(wait);
          resolve();
        };
        waits.add(wait);
        wait();
      });
    },
  };
  return seen;
}

export const last = <T>(list: readonly T[]): T | undefined => list[list.length - 1];

/** Waits for something that a server's view says, or that a server was asked. */
export function shows(net: Net, what: string, holds: (views: ReturnType<Net["servers"]>) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      clearInterval(often);
      stop();
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`in vain: ${what}; ${JSON.stringify(net.servers())}`));
    }, 60_000);
    const look = (): void => {
      if (!holds(net.servers())) return;
      end();
      resolve();
    };
    const stop = net.changed(look);
    const often = setInterval(look, 10);
    look();
  });
}

export async function posted(net: Net, ...[place, bytes, want]: [Parameters<Net["post"]>[0], Uint8Array, number]): Promise<PostOutcome[]> {
  const outcomes: PostOutcome[] = [];
  await net.post(place, bytes, want, (outcome) => outcomes.push(outcome), AbortSignal.timeout(60_000));
  return outcomes;
}
