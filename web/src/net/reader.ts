// Reads a topic from several servers at once, and goes on reading it. One gives the whole folder; of the others'
// folders only what differs is fetched. All that is handed on is what its name says; who serves anything else is left.

import { type Cid, cidText, equalCids } from "../protocol/cid.ts";
import { parseCid } from "../protocol/cidtext.ts";
import { maxCar } from "../protocol/car.ts";
import { accepted, ask, chunksOf, getBlocks, getComment, getEvents, getId, maxAsked } from "../protocol/client.ts";
import { maxSilenceMillis } from "../protocol/events.ts";
import { type Child, openFolder, openLeaf } from "../protocol/folder.ts";
import { type Hash, type Place as Topic, placeText } from "../protocol/hash.ts";
import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import { about, atEnd, deadline, pause, within } from "./deadline.ts";
import type { File, ReadState, TopicReader, TopicSink } from "./net.ts";
import { pacer } from "./pacer.ts";
import { tooEarly, Trouble } from "./reasons.ts";
import type { IPFS } from "./ipfs.ts";
import { enough, type Line, type Giver, type Servers } from "./servers.ts";
import { createTree, type Place } from "./tree.ts";

/** Bounds and times of one topic's reading; tests reach them with smaller ones. */
export interface Bounds {
  /** What one server may bring of a topic. A page that holds more is no pleasure on a phone. */
  readonly documents: number;
  readonly bytes: number;
  /** Directory nodes of one walk: a folder of so many comments has about a quarter as many. */
  readonly nodes: number;
  /** With more comments held than this, what is missing is asked for, not the whole folder. */
  readonly wholeBelow: number;
  /** A CAR without progress for so long, or under way for longer than that, is raced by another server's. */
  readonly headStart: number;
  readonly slow: number;
  /** Waits for the beginning of an answer, and for more of it. */
  readonly answer: number;
  readonly stall: number;
  /** When all of one server's folder is here, the others are waited for so long before it counts as all there is. */
  readonly others: number;
  /** Between comparisons with all servers. */
  readonly tick: number;
  /** Servers that differ are compared again so soon, before it is told: they may just be copying. */
  readonly recheck: number;
  /** How long a comment may be on one server alone before it is told. */
  readonly alone: number;
  /** So long nothing is called unreachable. */
  readonly grace: number;
  /** Pause before a stream of events is opened again, doubling, and the longest one. */
  readonly reconnect: number;
  readonly lastReconnect: number;
}

export const bounds: Bounds = {
  documents: 100_000,
  bytes: 64 << 20,
  nodes: 50_000,
  wholeBelow: 200,
  headStart: 1500,
  slow: 6000,
  answer: 10_000,
  stall: 15_000,
  others: 3000,
  tick: 60_000,
  recheck: 5000,
  alone: 120_000,
  grace: 5000,
  reconnect: 3000,
  lastReconnect: 60_000,
};

/** Files of one batch: few at first, so that something shows, then more. */
const firstBatch = 50;
const laterBatch = 256;
const batchBytes = 512 << 10;
const batchMillis = 50;
/** Requests for blocks at once, of one server. */
const blockRequests = 2;
/** Comments that a folder lists and that did not come as blocks are asked for by name, so many of them. */
const maxByName = 32;

interface Source {
  readonly peer: Giver;
  readonly end: AbortController;
  /** The folder that all of is here, once there is one. Undefined too where the topic is unknown there. */
  root: Place | undefined;
  /** The folder that is being read. */
  reading: Place | undefined;
  /** It was read to its end at least once. */
  synced: boolean;
  busy: boolean;
  /** Its folder is what was held before. */
  asHeld: boolean;
  /** What its events told of since, and it gave. */
  readonly extra: Set<Hash>;
  /** What its folder lists and it does not give: gone, or not kept there. */
  readonly without: Set<Hash>;
  documents: number;
  bytes: number;
  tries: number;
  /** It answers no /blocks. */
  noBlocks: boolean;
  /** Has it read again: now, or when it is done with what it does. */
  wake: () => void;
  woken: boolean;
}

/** A whole folder that is under way. */
interface Transfer {
  readonly end: AbortController;
  readonly began: number;
  progress: number;
}

/** What of the servers a reader uses: pages.ts has the like. */
export interface Sources extends Pick<Servers, "want" | "asking" | "onPeer" | "changed" | "searching" | "good" | "failed" | "remark" | "retry"> {
  peers(community: Hash): readonly Giver[];
}

export interface ReadOptions {
  readonly servers: Sources;
  readonly page: URL | undefined;
  readonly topic: Topic;
  readonly held: ReadonlySet<Hash>;
  /** The id of a folder that held has all of. */
  readonly folder: string | undefined;
  readonly sink: TopicSink;
  readonly now: () => number;
  /** Where a folder is looked for when no server answers. */
  readonly ipfs?: IPFS | undefined;
  readonly bounds: Bounds;
}

export function readTopic({ servers, page, topic, held, folder, sink, now, ipfs, bounds: bound }: ReadOptions): TopicReader {
  const life = new AbortController();
  const sources = new Set<Source>();
  /** Servers that do not give this topic: too much of it, or they keep none of it. */
  const refused = new Set<string>();
  const seen = new Set(held);
  const heldRoot = folder === undefined ? undefined : parseCid(folder);
  const tree = createTree();
  const transfers = new Set<Transfer>();
  const transferWaits = new Set<() => void>();
  /** A folder that was asked for while its server proves itself, which saves a round trip. */
  let early: { readonly line: Line; readonly response: Promise<Response>; readonly transfer: Transfer } | undefined;
  /** Since when nobody is asked. */
  let lonely = now();
  /** When the first server's folder was here. */
  let firstSynced: number | undefined;
  /** A folder was read whole, so that others are compared with it. */
  let anyWhole = false;
  let folderTold = folder;
  /** Something was read since all were compared. */
  let isNew = false;
  let totalTold = false;
  let state: ReadState | undefined;
  let agreed = { agree: 0, asked: 0 };
  let rechecking = false;
  let checkTimer: ReturnType<typeof setTimeout> | undefined;
  let aloneSince = new Map<Hash, number>();
  let aloneTold = 0;
  let batch: File[] = [];
  let batchSize = 0;
  let batchOf: Giver | undefined;
  let batchTimer: ReturnType<typeof setTimeout> | undefined;
  let batches = 0;
  let listening = false;
  /** The folder that a server named last. */
  let named: string | undefined;
  /** IPFS is asked while no server answers, and not before then. */
  let spare: AbortController | undefined;
  let spareAgain = 0;

  // ---- what goes out

  function flush(): void {
    clearTimeout(batchTimer);
    batchTimer = undefined;
    if (batch.length === 0 || batchOf === undefined || life.signal.aborted) return;
    const files = batch;
    const server = batchOf.key;
    batch = [];
    batchSize = 0;
    batches++;
    sink.files(files, server);
  }

  /** A comment that came and was not here. */
  function came({ id, bytes, sum }: File, source: Source): void {
    if (life.signal.aborted || seen.has(id)) return;
    source.documents++;
    source.bytes += bytes.length;
    if (source.documents > bound.documents || source.bytes > bound.bytes) {
      throw new Trouble("too-much", `more than ${bound.documents} comments or ${bound.bytes} bytes of one topic`);
    }
    if (batchOf !== source.peer) flush();
    batchOf = source.peer;
    seen.add(id);
    // A copy: what is cut out of a large buffer would keep all of it.
    batch.push({ id, bytes: bytes.slice(), sum });
    batchSize += bytes.length;
    if (batch.length >= (batches === 0 ? firstBatch : laterBatch) || batchSize >= batchBytes) flush();
    else batchTimer ??= setTimeout(flush, batchMillis);
  }

  function tellTotal(n: number): void {
    if (totalTold || life.signal.aborted) return;
    totalTold = true;
    sink.total(n);
  }

  function setState(next: ReadState): void {
    if (next === state || life.signal.aborted) return;
    state = next;
    sink.state(next);
  }

  /** Looks where all stands. */
  function update(): void {
    if (life.signal.aborted) return;
    const all = [...sources].filter(({ peer }) => !isSpare(peer));
    const synced = all.filter((source) => source.synced);
    const first = all.filter((source) => source.busy && !source.synced);
    if (synced.length > 0 && firstSynced === undefined) {
      firstSynced = now();
      setTimeout(update, bound.others + 1);
    }
    const isLate = firstSynced !== undefined && now() - firstSynced >= bound.others;
    // Who has something to read already need not be told at once that it is all, by the one server that is proven first.
    const waits = held.size > 0 && !isLate && servers.searching();
    const isAll = state === "live" || isLate || (first.length === 0 && !waits);
    if (synced.length > 0 && isAll) {
      flush();
      const isEmpty = seen.size === 0 && synced.every(({ root }) => root === undefined || tree.names(root).next().done === true);
      setState(isEmpty ? "empty" : "live");
    } else if ([...sources].some(({ peer, reading, documents }) => reading !== undefined && (documents > 0 || !isSpare(peer))) || synced.length > 0) {
      if (state !== "live") setState("reading");
    } else if (all.length === 0 && !servers.searching() && now() - lonely >= bound.grace) {
      setState("unreachable");
      askSpare();
    } else if (state === undefined || state === "unreachable") {
      setState("searching");
    }
    if (!isNew || waits || all.some((source) => source.busy)) return;
    isNew = false;
    compareAll(synced);
  }

  /** What a server gave, or would give. */
  function contents({ root, asHeld, extra, without }: Source): Set<Hash> {
    const all = new Set([...(root === undefined ? [] : tree.names(root)), ...(asHeld ? held : []), ...extra]);
    for (const name of without) all.delete(name);
    return all;
  }

  /** Who agrees with whom, when nobody is being read. */
  function compareAll(synced: readonly Source[]): void {
    const isSame = (a: Source, b: Source): boolean => {
      if (a.root === undefined || b.root === undefined) return a.root === b.root;
      if (equalCids(a.root.cid, b.root.cid)) return true;
      // Ids of two CID versions differ even where the comments are the same.
      const [mine, theirs] = [contents(a), contents(b)];
      return a.root.cid.version !== b.root.cid.version && mine.size === theirs.size && [...mine].every((id) => theirs.has(id));
    };
    const agree = Math.max(0, ...synced.map((a) => synced.filter((b) => isSame(a, b)).length));
    if (agree < synced.length && !rechecking) {
      rechecking = true;
      clearTimeout(checkTimer);
      checkTimer = setTimeout(checkAll, about(bound.recheck));
      if (agreed.asked > 0) return;
    } else rechecking = agree < synced.length;
    if (agree !== agreed.agree || synced.length !== agreed.asked) {
      agreed = { agree, asked: synced.length };
      sink.agreement(agree, synced.length);
    }
    findAlone(synced, agree);
  }

  /** What is on one server alone, and since when. */
  function findAlone(synced: readonly Source[], agree: number): void {
    const before = aloneSince;
    aloneSince = new Map();
    if (synced.length > 1 && (agree < synced.length || synced.some(({ extra }) => extra.size > 0))) {
      const counts = new Map<Hash, number>();
      for (const source of synced) for (const id of contents(source)) counts.set(id, (counts.get(id) ?? 0) + 1);
      for (const [id, count] of counts) if (count === 1) aloneSince.set(id, before.get(id) ?? now());
    }
    const alone = new Set<Hash>();
    for (const [id, since] of aloneSince) if (now() - since >= bound.alone) alone.add(id);
    if (alone.size === 0 && aloneTold === 0) return;
    aloneTold = alone.size;
    sink.onOneServer(alone);
  }

  // ---- whom to read from

  /** Reads what the IPFS network has of the folder that is known to be the newest. */
  function askSpare(): void {
    if (ipfs === undefined || sources.size > 0 || now() < spareAgain) return;
    spareAgain = now() + bound.tick;
    spare = new AbortController();
    follow({ key: "ipfs", network: "ipfs", line: ipfs.line(topic, named === folderTold ? undefined : named), gone: spare.signal, restUntil: 0, took: 0 });
  }

  /** Takes up servers until there are enough, one of a network. */
  function pick(): void {
    if (life.signal.aborted) return;
    const ready = servers.peers(topic.community).filter(({ key, restUntil }) => !refused.has(key) && restUntil <= now());
    if (ready.length > 0) spare?.abort(overtaken);
    for (const peer of ready) {
      if (sources.size >= enough) break;
      const taken = [...sources].some((source) => source.peer.key === peer.key || source.peer.network === peer.network);
      if (!taken) follow(peer);
    }
    update();
  }

  /** Asks for the folder before its server has proven itself. It is read only when it has. */
  function askEarly(): void {
    const asking = servers.asking();
    if (early !== undefined) {
      const { line } = early;
      if (!asking.includes(line) && [...sources].every(({ peer }) => peer.line !== line)) dropEarly();
    }
    const [line] = asking;
    if (line === undefined || early !== undefined || sources.size > 0 || anyWhole || seen.size >= bound.wholeBelow) return;
    const transfer = beginTransfer();
    early = { line, transfer, response: askWhole(line, transfer.end.signal) };
    early.response.catch(() => early?.transfer === transfer && dropEarly());
  }

  function dropEarly(): void {
    const dropped = early;
    early = undefined;
    if (dropped === undefined) return;
    dropped.transfer.end.abort(overtaken);
    endTransfer(dropped.transfer);
  }

  function follow(peer: Giver): void {
    const end = new AbortController();
    const source: Source = {
      peer,
      end,
      root: undefined,
      reading: undefined,
      synced: false,
      busy: true,
      asHeld: false,
      extra: new Set(),
      without: new Set(),
      documents: 0,
      bytes: 0,
      tries: 0,
      noBlocks: false,
      woken: false,
      wake: () => void (source.woken = true),
    };
    sources.add(source);
    const leave = (): void => {
      end.abort(peer.gone.reason ?? life.signal.reason);
      source.wake();
      sources.delete(source);
      if (!isSpare(peer)) {
        isNew = true;
        if (sources.size === 0) beginLonely();
      }
      pick();
    };
    const forget = atEnd(peer.gone, leave);
    void run(source).finally(() => {
      forget();
      if (sources.has(source)) leave();
    });
  }

  function beginLonely(): void {
    lonely = now();
    setTimeout(update, bound.grace + 1);
  }

  /** Reads from a server again and again, until it is of no use. */
  async function run(source: Source): Promise<void> {
    const { end } = source;
    while (!end.signal.aborted) {
      source.busy = true;
      try {
        await readOnce(source);
        source.tries = 0;
        // It has no news of its own.
        if (isSpare(source.peer)) return;
      } catch (error) {
        if (end.signal.aborted || error === overtaken) continue;
        if (!(await mayGoOn(source, error))) return;
        continue;
      }
      source.busy = false;
      isNew = true;
      void listen();
      update();
      await woken(source);
    }
  }

  /** Whether a server has more than is taken, which is told. */
  function isTooMuch(peer: Giver, error: unknown): boolean {
    if (!(error instanceof Trouble) || error.code !== "too-much") return false;
    servers.remark(peer, { code: "too-much", detail: error.message });
    return true;
  }

  /** After an error: whether to try this server again, when its time has come. */
  async function mayGoOn(source: Source, error: unknown): Promise<boolean> {
    const { peer } = source;
    if (isTooMuch(peer, error)) {
      refused.add(peer.key);
      return false;
    }
    if (servers.failed(peer, error)) return false;
    // It is there and refuses. Others may do better in the meantime.
    const status = error instanceof Problem ? error.status : 0;
    if (status === 451 || source.tries >= 3) {
      refused.add(peer.key);
      if (status !== 451) void pause(bound.tick, life.signal).then(() => refused.delete(peer.key)).then(pick);
      return false;
    }
    source.tries++;
    source.busy = false;
    const rest = peer.restUntil - now();
    if (rest > 2000) {
      void pause(rest, life.signal).then(pick);
      return false;
    }
    await pause(Math.max(rest, about(500 * 2 ** source.tries)), source.end.signal);
    return true;
  }

  async function woken(source: Source): Promise<void> {
    const { wake } = source;
    if (!source.woken) await new Promise<void>((resolve) => (source.wake = resolve));
    source.woken = false;
    source.wake = wake;
  }

  /** Compares all servers now. */
  function checkAll(): void {
    clearTimeout(checkTimer);
    checkTimer = setTimeout(checkAll, about(bound.tick));
    // All are busy until the last one is done, so they are compared as they were at one time.
    for (const source of sources) source.wake();
    pick();
  }

  // ---- reading

  /** Another server's folder was here sooner. */
  const overtaken = new Error("overtaken");

  async function readOnce(source: Source): Promise<void> {
    if (!anyWhole && seen.size < bound.wholeBelow && !isSpare(source.peer)) {
      if (await myTurn(source)) return readWhole(source);
    }
    const id = await timed(source, (signal) => getId(source.peer.line.server, topic.community, topic.topic, signal));
    if (id === undefined) return synced(source, undefined);
    const root: Place = { cid: id, path: [] };
    if (!isSpare(source.peer)) named = cidText(id);
    if (source.root !== undefined && equalCids(source.root.cid, id)) return synced(source, source.root);
    source.asHeld = heldRoot !== undefined && equalCids(heldRoot, id);
    if (source.asHeld) {
      tellTotal(held.size);
      return synced(source, root);
    }
    if (tree.known(root) === "whole") return synced(source, root);
    if (source.noBlocks) return readWhole(source);
    try {
      await walk(source, root);
    } catch (error) {
      // Its operator has turned /blocks off.
      if (!(error instanceof Problem) || error.status !== 404) throw error;
      source.noBlocks = true;
      await readWhole(source);
    }
  }

  function synced(source: Source, root: Place | undefined): void {
    if (source.end.signal.aborted) return;
    source.root = root;
    source.reading = undefined;
    source.synced = true;
    source.extra.clear();
    if (root !== undefined) {
      tree.complete(root, (name) => seen.has(name));
      const id = cidText(root.cid);
      if (id !== folderTold && (source.asHeld || tree.known(root) === "whole")) {
        flush();
        folderTold = id;
        sink.folder(id, source.asHeld ? held : tree.names(root));
      }
    }
    tree.keep([...sources].flatMap((each) => [each.root, each.reading].filter((place) => place !== undefined)));
  }

  /** A request that is over soon. */
  async function timed<T>(source: Source, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const start = now();
    const result = await within(source.end.signal, bound.answer, run);
    servers.good(source.peer, now() - start);
    return result;
  }

  /** Waits until a whole folder may be asked of this server. False if one came from another meanwhile. */
  async function myTurn(source: Source): Promise<boolean> {
    for (;;) {
      if (anyWhole) return false;
      if (early?.line === source.peer.line) return true;
      const late = Math.max(0, ...[...transfers].map(({ began: start, progress }) => Math.min(progress + bound.headStart, start + bound.slow) - now()));
      if (late <= 0) return true;
      await new Promise<void>((resolve) => {
        const wait = (): void => {
          transferWaits.delete(wait);
          resolve();
        };
        transferWaits.add(wait);
        void pause(late, source.end.signal).then(wait);
      });
      if (source.end.signal.aborted) throw source.end.signal.reason;
    }
  }

  function beginTransfer(): Transfer {
    const transfer: Transfer = { end: new AbortController(), began: now(), progress: now() };
    transfers.add(transfer);
    return transfer;
  }

  function endTransfer(transfer: Transfer): void {
    transfers.delete(transfer);
    for (const wait of [...transferWaits]) wait();
  }

  function askWhole(line: Giver["line"], signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/vnd.ipld.car" };
    // A page that asks another origin so would have to ask first whether it may. Its cache asks by itself.
    if (heldRoot !== undefined && (line.carrier !== "http" || line.server.origin === page?.origin)) headers["If-None-Match"] = `W/"${folder}.car"`;
    return ask(line.server, placeText(topic), { headers, signal });
  }

  /** Reads all of a folder as it comes. */
  async function readWhole(source: Source): Promise<void> {
    const { line } = source.peer;
    const mine = early?.line === line ? early : undefined;
    if (mine !== undefined) early = undefined;
    const transfer = mine?.transfer ?? beginTransfer();
    const forget = atEnd(source.end.signal, () => transfer.end.abort(source.end.signal.reason));
    const end = deadline(transfer.end.signal, bound.answer);
    let isEnded = false;
    async function* progress(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
      try {
        for await (const chunk of chunks) {
          transfer.progress = now();
          end.extend(bound.stall);
          yield chunk;
        }
        isEnded = true;
      } catch (error) {
        // Browsers tell of a connection that ended too early by a TypeError.
        throw error instanceof TypeError ? tooEarly() : error;
      }
    }
    try {
      // An early request knows the transfer's end alone.
      atEnd(end.signal, () => transfer.end.abort(end.signal.reason));
      const response = await (mine?.response ?? askWhole(line, end.signal));
      servers.good(source.peer, now() - transfer.began);
      if (response.status === 404 || response.status === 304) {
        await response.body?.cancel();
        if (response.status === 404 || heldRoot === undefined) return synced(source, undefined);
        tellTotal(held.size);
        source.asHeld = true;
        return synced(source, { cid: heldRoot, path: [] });
      }
      const folder = await openFolder(progress(chunksOf(await accepted(response))), undefined, maxCar, {
        node(block, place) {
          const children = tree.add(block, place);
          if (place.path.length === 0 && children.every((child) => "name" in child)) tellTotal(children.length);
          return children;
        },
        wants: (name) => !seen.has(name),
        pace: pacer(),
      });
      const root: Place = { cid: folder.root, path: [] };
      source.reading = root;
      named = cidText(root.cid);
      update();
      for await (const found of folder.comments) came(found, source);
      anyWhole = true;
      tellTotal([...tree.names(root)].length);
      synced(source, root);
      for (const other of [...transfers]) if (other !== transfer) other.end.abort(overtaken);
    } catch (error) {
      // Not every browser tells by which signal a transfer was ended.
      if (end.signal.aborted) throw end.signal.reason;
      // Who asks for more than came was not lied to: not every line tells the end of an answer from a break in it.
      throw isEnded && error instanceof Lie ? tooEarly() : error;
    } finally {
      end.done();
      forget();
      endTransfer(transfer);
    }
  }

  /** Fetches what is not here of a folder, level by level. */
  async function walk(source: Source, root: Place): Promise<void> {
    source.reading = root;
    update();
    const leaves: (Child & { readonly name: Hash })[] = [];
    let level: Place[] = [root];
    let nodes = 0;
    while (level.length > 0) {
      const unknown = level.filter((place) => tree.known(place) === undefined);
      nodes += unknown.length;
      if (nodes > bound.nodes) throw new Trouble("too-much", `a folder of more than ${bound.nodes} nodes`);
      const missing = await fetchBlocks(source, unknown, (block, place) => void tree.add(block, place));
      if (missing.length > 0) throw new Trouble("broke", "a folder of which a part is not given");
      const next: Place[] = [];
      for (const place of level) {
        const children = tree.known(place) ?? [];
        if (children === "whole") continue;
        for (const child of children) {
          if ("path" in child) next.push(child);
          else if (!seen.has(child.name) && !source.without.has(child.name)) leaves.push(child);
        }
      }
      level = next;
    }
    tellTotal([...tree.names(root)].length);
    const missing = await fetchBlocks(source, leaves, (block, leaf) => came(openLeaf(block, leaf.cid, leaf.name), source));
    for (const { name } of missing.slice(0, maxByName)) {
      if (!(await fetchByName(source, name))) source.without.add(name);
    }
    anyWhole = true;
    synced(source, root);
  }

  /** Fetches blocks, many at once. Returns those that were not given. */
  async function fetchBlocks<T extends { readonly cid: Cid }>(source: Source, items: readonly T[], got: (block: Uint8Array, item: T) => void): Promise<T[]> {
    const missing: T[] = [];
    const pace = pacer();
    let at = 0;
    const work = async (): Promise<void> => {
      while (at < items.length) {
        const waiting = new Map<string, T[]>();
        for (; at < items.length && waiting.size < maxAsked; at++) {
          const item = items[at] as T;
          const key = cidText(item.cid);
          waiting.set(key, [...(waiting.get(key) ?? []), item]);
        }
        // What did not fit into one answer is asked for again, while answers bring something.
        while (waiting.size > 0) {
          const cids = [...waiting.values()].map(([item]) => (item as T).cid);
          const blocks = await within(source.end.signal, 2 * bound.stall, (signal) => getBlocks(source.peer.line.server, cids, signal));
          if (blocks.length === 0) break;
          for (const { cid, bytes } of blocks) {
            const key = cidText(cid);
            for (const item of waiting.get(key) ?? []) got(bytes, item);
            waiting.delete(key);
            await pace();
          }
        }
        for (const items of waiting.values()) missing.push(...items);
      }
    };
    await Promise.all(Array.from({ length: blockRequests }, work));
    return missing;
  }

  /** One comment. That it is gone, or not kept there, is no fault: false. */
  async function fetchByName(source: Source, name: Hash): Promise<boolean> {
    try {
      const bytes = await timed(source, (signal) => getComment(source.peer.line.server, topic, name, signal));
      came({ id: name, bytes }, source);
      return true;
    } catch (error) {
      if (!(error instanceof Problem) || ![404, 410, 451].includes(error.status)) throw error;
      return false;
    }
  }

  // ---- news

  /** Follows the events of one server at a time. */
  async function listen(): Promise<void> {
    if (listening) return;
    listening = true;
    let on: Source | undefined;
    let since: string | undefined;
    let tries = 0;
    while (!life.signal.aborted) {
      const ready = [...sources].filter((source) => source.synced);
      // After a break the same one is asked once, since it knows what came since. Then the others.
      const source = ready.find((each) => each === on && tries <= 1) ?? ready.find((each) => each !== on) ?? ready[0];
      if (source === undefined) break;
      if (source !== on) since = undefined;
      on = source;
      const end = deadline(source.end.signal, bound.answer);
      try {
        const events = await getEvents(source.peer.line.server, topic.community, topic.topic, since, end.signal);
        let isFirst = since === undefined;
        for await (const event of events) {
          end.extend(maxSilenceMillis);
          tries = 0;
          since = event.id ?? since;
          // What was posted between reading and listening is found by looking again.
          if (event.kind === "reset" || isFirst) source.wake();
          isFirst = false;
          if (event.kind !== "comment" || event.topic !== topic.topic) continue;
          if (seen.has(event.comment) || (await fetchByName(source, event.comment))) source.extra.add(event.comment);
          if (state === "empty") update();
        }
      } catch (error) {
        if (error instanceof Lie) servers.failed(source.peer, error);
        // Busy with other listeners, perhaps.
        else if (error instanceof Problem) tries++;
        else if (isTooMuch(source.peer, error)) break;
      } finally {
        end.done();
      }
      if (source.end.signal.aborted) continue;
      // A server that is gone is noticed by asking it.
      if (tries === 0) source.wake();
      tries++;
      await pause(about(Math.min(bound.reconnect * 2 ** (tries - 1), bound.lastReconnect)), life.signal);
    }
    listening = false;
  }

  // ---- beginning and end

  const stopPeers = servers.onPeer(pick);
  const stopChanges = servers.changed(() => {
    askEarly();
    update();
  });
  beginLonely();
  checkTimer = setTimeout(checkAll, about(bound.tick));
  // Not at once: who calls has not yet what is returned.
  queueMicrotask(() => {
    servers.want(topic.community);
    pick();
    askEarly();
  });

  return {
    close() {
      if (life.signal.aborted) return;
      stopPeers();
      stopChanges();
      clearTimeout(checkTimer);
      life.abort(new Trouble("broke"));
      dropEarly();
      for (const { end } of sources) end.abort(life.signal.reason);
      sources.clear();
      tree.keep([]);
      seen.clear();
    },
    retry() {
      servers.retry();
      refused.clear();
      spareAgain = 0;
      checkAll();
    },
  };
}

const isSpare = ({ line }: Giver): boolean => line.carrier === "ipfs";
