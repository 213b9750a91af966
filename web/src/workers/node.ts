// An IPFS node: Helia over libp2p, put together by hand. It dials and is not dialled, knows no node, router or gateway but
// those it is told of, looks no name up and announces nothing. What connects it to somebody is reach; that connection is
// then used both ways.

import { noise } from "@libp2p/noise";
import { yamux } from "@libp2p/yamux";
import { identify } from "@libp2p/identify";
import { webSockets } from "@libp2p/websockets";
import { webTransport } from "@libp2p/webtransport";
import type { Multiaddr } from "@multiformats/multiaddr";
import { withBitswap } from "@helia/bitswap";
import type { HeliaWithLibp2p } from "@helia/libp2p";
import { BaseBlockstore } from "blockstore-core/base";
import { type BlockBroker, createHeliaLight } from "helia";
import { createLibp2p } from "libp2p";
import { CID } from "multiformats/cid";
import { pause } from "../net/deadline.ts";
import { type Cid, cidBytes } from "../protocol/cid.ts";
import { readBody } from "../protocol/client.ts";
import type { Fetch } from "../protocol/ask.ts";
import { maxNode } from "../protocol/unixfs.ts";
import type { Given } from "./given.ts";

/** Nodes at once: who is connected may ask this page for blocks. */
export const maxPeers = 8;
/** Bytes of a message, theirs or ours: boxo's servers pack 128 KiB, Helia's 2 MiB. */
const maxMessage = 2 << 20;
/** Wants of one node that are remembered, and streams that it may have open. */
const maxWants = 512;
const maxStreams = 32;
const dialMillis = 10_000;
/** A gateway is asked for a block that no node gave for so long. */
const gatewayMillis = 1000;

export interface Node {
  /** Connects to a node, unless there are enough. */
  reach(addresses: readonly Multiaddr[], signal: AbortSignal): Promise<void>;
  /** A block of those that others have; its bytes are those of the CID. */
  get(cid: Cid, signal: AbortSignal): Promise<Uint8Array>;
  readonly peers: number;
}

export interface NodeHost {
  readonly given: Pick<Given, "has" | "get">;
  /** Without a slash at the end. */
  readonly gateways: readonly string[];
  readonly fetch: Fetch;
  /** Called when nodes come or go. */
  readonly changed: () => void;
}

export async function startNode({ given, gateways, fetch, changed }: NodeHost): Promise<Node> {
  const mayDial = new Set<string>();
  const libp2p = await createLibp2p({
    logger: silent,
    nodeInfo: { userAgent: "comntr" },
    addresses: { listen: [] },
    transports: [webSockets(), webTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    // What a node says of its own addresses is nobody's word for them.
    connectionGater: { denyDialMultiaddr: (address) => !mayDial.has(address.toString()) },
    connectionManager: { maxConnections: maxPeers, maxParallelDials: maxPeers, dialTimeout: dialMillis, resolvers: {}, reconnectRetries: 0 },
    connectionMonitor: { enabled: false },
  });
  libp2p.addEventListener("peer:connect", changed);
  libp2p.addEventListener("peer:disconnect", changed);

  const helia: HeliaWithLibp2p = Object.assign(
    createHeliaLight({ logger: silent, blockstore: new Held(given), blockBrokers: gateways.length === 0 ? [] : [fromGateways(gateways, fetch)] }),
    { libp2p },
  ) as unknown as HeliaWithLibp2p;
  withBitswap(helia, {
    maxInboundStreams: maxStreams,
    maxOutboundStreams: maxStreams,
    maxIncomingMessageSize: maxMessage,
    maxOutgoingMessageSize: maxMessage,
    maxWantlistSize: maxWants,
  });
  await helia.start();

  return {
    async reach(addresses, signal) {
      if (libp2p.getPeers().length >= maxPeers) return;
      for (const address of addresses) mayDial.add(address.toString());
      await libp2p.dial([...addresses], { signal });
    },
    async get(cid, signal) {
      for await (const block of helia.blockstore.get(CID.decode(cidBytes(cid)), { signal })) return block;
      throw new Error("no block");
    },
    get peers() {
      return libp2p.getPeers().length;
    },
  };
}

/** What this browser holds, as Helia's blockstore. What comes goes to who asked for it, and is not stored here. */
class Held extends BaseBlockstore {
  readonly #given: NodeHost["given"];

  constructor(given: NodeHost["given"]) {
    super();
    this.#given = given;
  }

  override async has({ multihash }: CID): Promise<boolean> {
    return isSHA256(multihash) && this.#given.has(multihash.digest);
  }

  override async *get({ multihash }: CID): AsyncGenerator<Uint8Array> {
    const block = isSHA256(multihash) ? await this.#given.get(multihash.digest) : undefined;
    if (block === undefined) throw Object.assign(new Error("not held"), { name: "NotFoundError" });
    yield block;
  }

  override async put(cid: CID): Promise<CID> {
    return cid;
  }
}

function isSHA256({ code, digest }: { readonly code: number; readonly digest: Uint8Array }): boolean {
  return code === 0x12 && digest.length === 32;
}

/** Gateways that the site named, one after the other. Helia checks what they give. */
function fromGateways(gateways: readonly string[], fetch: Fetch): BlockBroker {
  return {
    name: "gateways",
    async retrieve(cid, { signal = new AbortController().signal, validateFn } = {}) {
      await pause(gatewayMillis, signal);
      for (const gateway of gateways) {
        signal.throwIfAborted();
        try {
          const response = await fetch(`${gateway}/ipfs/${cid}?format=raw`, {
            headers: { Accept: "application/vnd.ipld.raw" }, redirect: "error", credentials: "omit", referrerPolicy: "no-referrer", signal,
          });
          if (!response.ok) continue;
          const block = await readBody(response, maxNode);
          await validateFn?.(block);
          return block;
        } catch {
          // The next one, then.
        }
      }
      throw new Error("no gateway has it");
    },
  };
}

const say = Object.assign(() => undefined, { enabled: false, error: () => undefined, trace: () => undefined, newScope: () => say });
const silent = { forComponent: () => say };
