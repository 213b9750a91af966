import { createRequire } from "node:module";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2p } from "libp2p";
import { afterAll, describe, expect, test } from "vitest";
import { cidText } from "../src/protocol/cid.ts";
import { parseCid } from "../src/protocol/cidtext.ts";
import { leafOf } from "../src/protocol/make.ts";
import { utf8 } from "../src/protocol/bytes.ts";
import { maxNode } from "../src/protocol/unixfs.ts";
import { maxPeers, type Node, type NodeHost, startNode } from "../src/workers/node.ts";

// Node 20 lacks what Helia uses of newer ones.
const promises = Promise as unknown as { withResolvers?: () => unknown };
promises.withResolvers ??= () => {
  const made = {};
  const promise = new Promise((resolve, reject) => void Object.assign(made, { resolve, reject }));
  return Object.assign(made, { promise });
};

// And a browser's WebSocket: libp2p brings one for its own listeners.
const here = globalThis as { WebSocket?: unknown };
here.WebSocket ??= (createRequire(import.meta.url)("ws") as { WebSocket: unknown }).WebSocket;

const others: Libp2p[] = [];
afterAll(() => Promise.all(others.map((each) => each.stop())));

async function other(): Promise<Libp2p> {
  const made = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0/ws"] }, transports: [webSockets()], connectionEncrypters: [noise()], streamMuxers: [yamux()], services: { identify: identify() },
  });
  others.push(made);
  return made;
}

const none = { has: async () => false, get: async () => undefined };
const start = (host: Partial<NodeHost> = {}): Promise<Node> =>
  startNode({ given: none, gateways: [], fetch: async () => new Response(null, { status: 404 }), changed: () => undefined, ...host });
const soon = (): AbortSignal => AbortSignal.timeout(60_000);
const leaf = leafOf(utf8("a comment"), 1).block;

describe("an IPFS node", () => {
  test("is connected to so many others, and no more", async () => {
    let changes = 0;
    const node = await start({ changed: () => changes++ });
    for (let i = 0; i < maxPeers; i++) await node.reach((await other()).getMultiaddrs(), soon());
    expect(node.peers).toBe(maxPeers);
    await node.reach((await other()).getMultiaddrs(), soon());
    expect(node.peers).toBe(maxPeers);
    expect(changes).toBe(maxPeers);
  });

  test("asks gateways, each by the block's CID, until one gives that block", async () => {
    const asked: string[] = [];
    const answers = new Map([
      ["https://a", () => new Response("another block")],
      ["https://b", () => new Response(null, { status: 500 })],
      ["https://c", () => new Response(new Uint8Array(maxNode + 1))],
      ["https://d", () => new Response(Uint8Array.from(leaf.bytes))],
    ]);
    const node = await start({
      gateways: [...answers.keys()],
      fetch: async (url) => {
        asked.push(url);
        return answers.get(new URL(url).origin)?.() ?? new Response(null, { status: 404 });
      },
    });
    expect([...(await node.get(leaf.cid, soon()))]).toEqual([...leaf.bytes]);
    expect(asked).toEqual([...answers.keys()].map((origin) => `${origin}/ipfs/${cidText(leaf.cid)}?format=raw`));
  });

  test("takes nothing else for a block", async () => {
    const node = await start({ gateways: ["https://a"], fetch: async () => new Response("another block") });
    const over = new AbortController();
    const got = node.get(leaf.cid, over.signal);
    setTimeout(() => over.abort(), 2000);
    await expect(got).rejects.toThrow();
  });

  test("gives what is held without asking anybody", async () => {
    const asked: Uint8Array[] = [];
    const node = await start({ given: { has: async (digest) => (asked.push(digest), true), get: async () => leaf.bytes } });
    const other = parseCid(cidText(leafOf(utf8("a comment"), 0).block.cid));
    if (other === undefined) throw new Error("no CID");
    expect(await node.get(other, soon())).toBe(leaf.bytes);
    expect(asked).toEqual([other.digest]);
  });
});
