// The worker with this page's IPFS node: it fetches blocks when no server answers, from nodes that the site's routers or
// servers' hellos name, and gives what this browser holds. What it brings the page checks as if a server had sent it.

import { blocksOf } from "../keep/blocks.ts";
import { openKeep } from "../keep/keep.ts";
import { readBody } from "../protocol/client.ts";
import { concat, fromUTF8, varint } from "../protocol/bytes.ts";
import { carHeader } from "../protocol/car.ts";
import { type Cid, cidBytes, cidText } from "../protocol/cid.ts";
import { parseCid } from "../protocol/cidtext.ts";
import { maxAsked, maxBlocks } from "../protocol/client.ts";
import { deadline, within } from "../net/deadline.ts";
import { give } from "./given.ts";
import type { FromPeer, ToPeer } from "./messages.ts";
import { dialable } from "./multiaddrs.ts";
import { type Node, startNode } from "./node.ts";
import { findNodes } from "./routers.ts";
import { maxSite, readSite, type Site } from "./site.ts";

interface Scope {
  postMessage(message: FromPeer, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToPeer>) => void) | null;
  readonly location: Location;
}
const scope = globalThis as unknown as Scope;

/**
 * For somebody to be found, for a first block of him, and for a next one. The page asks again for the rest while answers
 * bring something, and waits for each a little longer than all of it takes.
 */
const foundMillis = 15_000;
const firstMillis = 8000;
const nextMillis = 4000;
const answerMillis = 25_000;
/** Blocks asked for at once: Helia compares each one that comes with all that are waited for. */
const maxWanted = 128;
/** Who has a folder is asked anew so often. */
const findMillis = 60_000;
const siteMillis = 10_000;
const viewMillis = 500;

const here = new URL(scope.location.href);
const life = new AbortController();
let got = 0;
let viewTimer: ReturnType<typeof setTimeout> | undefined;
const finding = new Map<string, { readonly at: number; readonly done: Promise<void> }>();

const given = give(
  blocksOf(openKeep(), () => Date.now(), () => new Promise((resolve) => setTimeout(resolve))),
  () => performance.now(),
  (millis) => new Promise((resolve) => setTimeout(resolve, millis)),
);

/** config.json lies beside the folder that this file lies in. */
async function readConfig(): Promise<Site> {
  try {
    return await within(life.signal, siteMillis, async (signal) => {
      const response = await fetch(new URL("../config.json", here), { credentials: "same-origin", cache: "no-cache", signal });
      return readSite(response.ok ? (fromUTF8(await readBody(response, maxSite)) ?? "") : "");
    });
  } catch {
    // The page's host is gone, too.
    return readSite("");
  }
}

function changed(): void {
  viewTimer ??= setTimeout(() => {
    viewTimer = undefined;
    void node.then(({ peers }) => scope.postMessage({ view: { peers, got, given: given.count } }));
  }, viewMillis);
}

const site = readConfig();
const node: Promise<Node> = site.then(({ gateways }) =>
  startNode({
    given: { has: given.has, get: (digest) => given.get(digest).finally(changed) },
    gateways, fetch: (url, init) => fetch(url, init), changed,
  }),
);

/** Connects to nodes, each by all of its addresses that may be dialled; done when all were tried. */
async function reachAll(texts: readonly string[], named: boolean): Promise<void> {
  const peers = new Map<string, ReturnType<typeof dialable>[]>();
  for (const text of texts) {
    const at = dialable(text, here, named);
    if (at !== undefined) peers.set(at.peer, [...(peers.get(at.peer) ?? []), at]);
  }
  const { reach } = await node;
  await Promise.allSettled([...peers.values()].map((all) => reach(all.flatMap((at) => (at === undefined ? [] : [at.address])), life.signal)));
}

/** Looks for nodes that have a folder: those that were named, and those that routers know. */
function find(root: Cid, nodes: readonly string[]): Promise<void> {
  const key = cidText(root);
  const before = finding.get(key);
  if (before !== undefined && Date.now() - before.at < findMillis) return before.done;
  const done = (async () => {
    const { routers, nodes: own } = await site;
    await Promise.allSettled([
      reachAll(own, true),
      reachAll(nodes, false),
      ...routers.map(async (router) => reachAll(await findNodes(router, key, (url, init) => fetch(url, init), life.signal), false)),
    ]);
  })();
  finding.set(key, { at: Date.now(), done });
  return done;
}

/** Those of some blocks that come in time, as a CAR whose root is the first that was asked for. */
async function fetchBlocks(root: Cid, cids: readonly Cid[], nodes: readonly string[]): Promise<ArrayBuffer> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(), answerMillis);
  const { signal, extend, done } = deadline(over.signal, foundMillis);
  const header = carHeader(cids[0] as Cid);
  const parts: Uint8Array[] = [Uint8Array.of(...varint(header.length)), header];
  let bytes = 0;
  try {
    const ready = await node;
    const { gateways } = await site;
    // Who was connected before is asked at once; nobody is waited for when nobody was found.
    void find(root, nodes).finally(() => {
      if (bytes > 0 || signal.aborted) return;
      if (ready.peers > 0 || gateways.length > 0) extend(firstMillis);
      else over.abort();
    });
    const waiting = [...cids];
    await Promise.all(Array.from({ length: maxWanted }, async () => {
      for (let cid = waiting.shift(); cid !== undefined && !signal.aborted; cid = waiting.shift()) {
        const block = await ready.get(cid, signal).catch(() => undefined);
        if (block === undefined || bytes + block.length > maxBlocks) continue;
        extend(nextMillis);
        bytes += block.length;
        got++;
        changed();
        const id = cidBytes(cid);
        parts.push(Uint8Array.of(...varint(id.length + block.length)), id, block);
      }
    }));
  } finally {
    clearTimeout(timer);
    done();
    over.abort();
  }
  return concat(parts).buffer;
}

async function take({ n, topic, root, cids, nodes }: ToPeer): Promise<void> {
  if (root === undefined) return scope.postMessage({ n, id: (await site).folders.get(topic) ?? "" });
  const wanted = cids.slice(0, maxAsked).flatMap((text) => parseCid(text) ?? []);
  const of = parseCid(root);
  const car = of === undefined || wanted.length === 0 ? undefined : await fetchBlocks(of, wanted, nodes).catch(() => undefined);
  if (car === undefined) return scope.postMessage({ n });
  scope.postMessage({ n, car }, [car]);
}

scope.onmessage = ({ data }) => void take(data);
// The site's own nodes may ask for what this browser holds, whether or not anything is asked of them.
void site.then(({ nodes }) => reachAll(nodes, true));
