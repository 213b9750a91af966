// What a browser gives the network: the one place that knows window and its storage.

import { shared } from "../gateway.ts";
import { startWorker } from "../workers/pool.ts";
import { createNet, type Memory, type NetHost } from "./index.ts";
import type { Net } from "./net.ts";
import type { PeerConnection } from "./rtc.ts";
import { storageKey } from "./visits.ts";
import type { Sessions } from "./webtransport.ts";

/** Of ?server=, and of ?folder=. */
const maxTyped = 8;

/** What config.json says of the network. */
export interface Site {
  readonly servers: readonly string[];
  readonly trackers: readonly string[];
  readonly stun?: readonly string[];
}

interface Surroundings {
  readonly location: { readonly href: string };
  readonly localStorage?: { getItem(key: string): string | null; setItem(key: string, value: string): void };
  readonly WebSocket?: new (url: string) => WebSocket;
  readonly RTCPeerConnection?: PeerConnection;
  readonly WebTransport?: Sessions;
  readonly crypto: { readonly subtle?: SubtleCrypto };
  readonly isSecureContext?: boolean;
  readonly navigator?: { readonly connection?: { readonly saveData?: boolean } };
}

/** The network of the page that runs this. */
export function openNet({ servers, trackers, stun = [] }: Site): Net {
  const around = globalThis as unknown as Surroundings;
  const page = new URL(around.location.href);
  const host: NetHost = {
    page,
    fetch: (url, init) => fetch(url, init),
    // Not on pages of http:// addresses.
    subtle: around.crypto.subtle,
    WebSocket: around.WebSocket,
    PeerConnection: around.RTCPeerConnection,
    // Nor this.
    WebTransport: around.WebTransport,
    memory: memoryOf(around),
    // Helia needs a secure context, and is more than who saves data wants. At a path gateway nothing is held.
    peer: around.isSecureContext === true && !shared && around.navigator?.connection?.saveData !== true ? () => startWorker("peer") : undefined,
  };
  const typed = (name: string): string[] => page.searchParams.getAll(name).slice(0, maxTyped);
  return createNet({ servers, trackers, stun, typed: typed("server"), folders: typed("folder") }, host);
}

function memoryOf(around: Surroundings): Memory {
  return {
    async load() {
      if (shared) return undefined;
      // Where storage is forbidden, even naming it throws; so within an async function.
      return JSON.parse(around.localStorage?.getItem(storageKey) ?? "null") as unknown;
    },
    save(remembered) {
      if (shared) return;
      try {
        around.localStorage?.setItem(storageKey, JSON.stringify(remembered));
      } catch {
        // Forbidden, or full: the next visit looks anew.
      }
    },
  };
}
