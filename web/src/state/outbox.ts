// What was signed and no server has yet. It is shown as if it were posted, and goes out by itself, in its order, as soon
// as a server answers: now, after a restart, from this tab or another one. A document is named by what it is, so that one
// that is sent twice is there once.

import type { Keep } from "../keep/keep.ts";
import type { Waiting } from "../keep/writing.ts";
import { dropWaiting, Full, keepWaiting, keptWaiting } from "../keep/writing.ts";
import type { PostOutcome } from "../net/net.ts";
import { type Draft, signDraft } from "../protocol/build.ts";
import { type Document, isRefusal } from "../protocol/document.ts";
import { type Hash, type Place, placeText } from "../protocol/hash.ts";
import { current } from "../ui/app.tsx";
import { payWork } from "../workers/working.ts";
import { sayFull } from "./full.ts";
import { type Me, lists, people } from "./me.ts";
import { keeping, online, servers, startNet, working } from "./page.ts";
import { effect, signal } from "./signals.ts";
import type { Topic } from "./topic.ts";

/** Servers that a document is given to; they give it to the others. */
export const wantedServers = 2;
/** Work that is paid without being asked twice: some seconds of it. */
export const maxFreeWork = 24;
/** What waits is tried again after so long, twice as long each time, if no server comes meanwhile. */
const againMillis = 30_000;
const maxAgainMillis = 10 * 60_000;

/** Codes of posts that reached nobody. */
const away: readonly string[] = ["no-server", "unreachable", "timeout", "broke", "lied", "stopped", "stopping"];
/** Those that say nothing of the document, either: what nobody waits for is sent again. */
const forNow: readonly string[] = [...away, "rate-limited", "busy", "full", "internal", "damaged"];

export type SendState =
  | { readonly at: "sending" | "waits" }
  | { readonly at: "working"; readonly part: number }
  | { readonly at: "saved"; readonly servers: number; readonly done: boolean }
  | { readonly at: "failed"; readonly code: string; readonly detail: string; readonly retryAfter: number };
export type Failed = Extract<SendState, { at: "failed" }>;
export type Tell = (state: SendState) => void;

/** One document that waits. */
export interface Item extends Waiting {
  readonly id: Hash;
  readonly place: Place;
}

/** In the order in which they go. */
export const outbox = signal<readonly Item[]>([]);
/** Those that their writer sees being sent. Work makes another document of one, so here they go by when they were written. */
export const underWay = signal<ReadonlySet<number>>(new Set());
const tells = new Map<number, Tell>();
const stops = new Map<number, AbortController>();
/** Those that the browser had no room for. */
const loose = new Set<Hash>();
/** What became of those that are here no more: whether a server has it. */
const fates = new Map<Hash, boolean>();
const others = "BroadcastChannel" in globalThis ? new BroadcastChannel("comntr outbox") : undefined;

/** Pays work for a draft and signs it. */
export async function sign(draft: Draft, author: Me, bits: number, tell: Tell, signal: AbortSignal): Promise<Document> {
  const working = (tried: number): void => tell({ at: "working", part: 1 - Math.exp(-tried / 2 ** bits) });
  const paid = bits === 0 ? draft : { ...draft, nonce: await payWork({ draft, key: author.key, bits }, working, signal) };
  const document = signDraft(paid, author.kept.seed);
  if (isRefusal(document)) throw new RangeError(document.code);
  return document;
}

const byTime = (items: readonly Item[]): Item[] => [...items].sort((a, b) => a.at - b.at);

/** What changes the list happens one after the other. */
let turn: Promise<unknown> = Promise.resolve();
function inTurn<T>(act: (keep: Keep) => Promise<T>): Promise<T> {
  const done = turn.then(() => keeping).then(act);
  turn = done.catch(() => undefined);
  return done;
}

/** What is kept, and what could not be. */
const load = (): Promise<void> => inTurn(async (keep) => {
  const kept = await keptWaiting(keep).catch(() => undefined);
  if (kept === undefined) return;
  const all = kept.map(([place, id, waiting]): Item => ({ ...waiting, place, id: id as Hash }));
  outbox.value = byTime([...all, ...outbox.peek().filter(({ id }) => loose.has(id))]);
});

/** Keeps an item, new or changed, and then no more the one that it is instead of. Throws Full where as much waits as may. */
const keepItem = (item: Item, instead = item): Promise<void> => inTurn(async (keep) => {
  startOutbox();
  const { id, place, ...waiting } = item;
  await keepWaiting(keep, place, id, waiting, instead.id).catch((error: unknown) => {
    if (error instanceof Full) throw error;
    loose.add(id);
    sayFull();
  });
  if (instead.id !== id) await forget(keep, instead, false);
  outbox.value = byTime([...outbox.peek().filter((each) => each.id !== id), item]);
  others?.postMessage({ id });
});

/** An item is gone: a server has it, or it was taken back. */
const drop = (item: Item, sent: boolean): Promise<void> => {
  tells.delete(item.at);
  return inTurn((keep) => forget(keep, item, sent));
};

async function forget(keep: Keep, { id, place }: Item, sent: boolean): Promise<void> {
  fates.set(id, sent);
  loose.delete(id);
  await dropWaiting(keep, place, id).catch(() => undefined);
  outbox.value = outbox.peek().filter((each) => each.id !== id);
  others?.postMessage({ id, sent });
}

/** No other tab does the same meanwhile, where browsers can tell; undefined if one does and it is not to be waited for. */
async function alone<T>(name: string, wait: boolean, act: () => Promise<T>): Promise<T | undefined> {
  const locks = (navigator as { readonly locks?: LockManager }).locks;
  return locks === undefined ? act() : locks.request(`comntr ${name}`, { ifAvailable: !wait }, async (lock) => (lock === null ? undefined : act()));
}

/** Sends one. "waits": no server took it or refused it. Work makes another document of it. */
async function sendItem(job: { item: Item }, tell: Tell, signal: AbortSignal): Promise<"sent" | "waits" | Failed> {
  for (let round = 0; ; round++) {
    const { item } = job;
    tell({ at: "sending" });
    const { saved, refused } = await deliver(item.place, item.bytes, (count) => tell({ at: "saved", servers: count, done: false }), signal);
    if (saved > 0) {
      await drop(item, true);
      tell({ at: "saved", servers: saved, done: true });
      return "sent";
    }
    // What one server wants too much for, another may take for less.
    const bits = Math.max(0, ...refused.map(({ code, work }) => (code === "work-needed" && work <= maxFreeWork ? work : 0)));
    const author = people.peek().find(({ key }) => key === item.key);
    if (bits > 0 && round < 3 && item.draft !== undefined && author !== undefined) {
      const { id, bytes } = await sign(item.draft, author, bits, tell, signal);
      const next = { ...item, id, bytes };
      await keepItem(next, item);
      job.item = next;
      continue;
    }
    // One that may take it later outweighs those that never will; of these that counts what most say.
    const weight = ({ code }: Refused): number => (forNow.includes(code) ? refused.length : 0) + refused.filter((each) => each.code === code).length;
    const [said] = refused.filter(({ code }) => !away.includes(code)).sort((a, b) => weight(b) - weight(a));
    if (said === undefined) return "waits";
    const { code, detail, retryAfter } = said;
    return { at: "failed", code, detail, retryAfter };
  }
}

function goes(at: number, on: boolean): void {
  const next = new Set(underWay.peek());
  next[on ? "add" : "delete"](at);
  underWay.value = next;
}

type Refused = Extract<PostOutcome, { ok: false }>;

async function deliver(place: Place, bytes: Uint8Array, tell: (saved: number) => void, signal: AbortSignal): Promise<{ saved: number; refused: Refused[] }> {
  let saved = 0;
  const refused: Refused[] = [];
  const made = await startNet();
  await made?.post(place, bytes, wantedServers, (outcome) => {
    if (outcome.ok) tell(++saved);
    else refused.push(outcome);
  }, signal).catch(() => undefined);
  // Stopped, and nobody has it.
  if (saved === 0) signal.throwIfAborted();
  return { saved, refused };
}

/** Whether it is known that nobody is to be reached now. */
const nobody = (): boolean => !online.peek() || (servers.peek().length > 0 && servers.peek().every(({ state }) => state === "failed" || state === "lied"));

/**
 * Sends a document that its writer waits for; whether it is in good hands: a server's, or the outbox's. What is refused
 * is taken out again, for its writer still has the text.
 */
export async function post(item: Item, tell: Tell, signal: AbortSignal): Promise<boolean> {
  try {
    await keepItem(item);
  } catch {
    // Full; all else is no reason not to send.
    tell({ at: "failed", code: "outbox-full", detail: "", retryAfter: 0 });
    return false;
  }
  tells.set(item.at, tell);
  const job = { item };
  let result: Awaited<ReturnType<typeof sendItem>> = "waits";
  // What was written before goes first.
  const isFirst = !outbox.peek().some(({ at, refused, due }) => at !== item.at && refused === undefined && due <= Date.now() && !underWay.peek().has(at));
  if (isFirst && !nobody()) {
    goes(item.at, true);
    try {
      result = (await alone(item.id, false, () => sendItem(job, tell, signal))) ?? "waits";
    } catch (error) {
      await drop(job.item, false);
      throw error;
    } finally {
      goes(item.at, false);
    }
  }
  if (result === "sent") return true;
  if (result === "waits") {
    tell({ at: "waits" });
    void sendWaiting();
    return true;
  }
  await drop(job.item, false);
  tell(result);
  return false;
}

/** Keeps a document that is to go later. */
export async function postLater(item: Item, tell: Tell): Promise<void> {
  await keepItem(item);
  tells.set(item.at, tell);
  schedule();
}

/** Takes one back before it goes. */
export async function takeBack(id: Hash): Promise<void> {
  const item = outbox.peek().find((each) => each.id === id);
  if (item === undefined) return;
  stops.get(item.at)?.abort();
  await drop(item, false);
}

/** Sends one that was refused once more. */
export async function tryAgain(id: Hash): Promise<void> {
  const item = outbox.peek().find((each) => each.id === id);
  if (item === undefined) return;
  const { refused: _, ...again } = item;
  await keepItem(again);
  await sendWaiting();
}

let sending: Promise<void> | undefined;
let isAsked = false;
let timer: ReturnType<typeof setTimeout> | undefined;
let wait = againMillis;

/** Sends what waits, in order. */
export function sendWaiting(): Promise<void> {
  isAsked = true;
  sending ??= (async () => {
    while (isAsked) {
      isAsked = false;
      await alone("outbox", true, sendAll).catch(() => undefined);
    }
  })().finally(() => {
    sending = undefined;
    schedule();
  });
  return sending;
}

/** Servers that were there when all was tried last. */
let asked: readonly string[] = [];

async function sendAll(): Promise<void> {
  await load();
  const here = servers.peek().flatMap(({ id, state }) => (state === "working" ? id : []));
  // What others refused is not what one that came since says.
  const isMore = here.some((id) => !asked.includes(id));
  asked = here;
  /** Communities that nobody serves now. */
  const silent = new Set<Hash>();
  for (const item of outbox.peek()) {
    const { id, at, place, due, refused } = item;
    if ((refused !== undefined && !isMore) || due > Date.now() || silent.has(place.community) || underWay.peek().has(at) || !outbox.peek().some((each) => each.id === id)) continue;
    const job = { item };
    // Its writer goes on meanwhile.
    const told = tells.get(at);
    const tell: Tell = (state) => state.at !== "sending" && state.at !== "working" && told?.(state);
    if (!online.peek()) {
      tell({ at: "waits" });
      continue;
    }
    const stop = new AbortController();
    stops.set(at, stop);
    const result = await alone(id, false, () => sendItem(job, tell, stop.signal)).catch(() => undefined);
    stops.delete(at);
    if (result === "sent") wait = againMillis;
    else if (result === "waits" || (result !== undefined && forNow.includes(result.code))) {
      // Later ones wait, too: order is what makes an answer one.
      silent.add(place.community);
      tell({ at: "waits" });
    } else if (result !== undefined) {
      await keepItem({ ...job.item, refused: { code: result.code, detail: result.detail } });
      tell(result);
    }
  }
}

/** The next try: when the first is due, or after a while. */
function schedule(): void {
  clearTimeout(timer);
  const left = outbox.peek().filter(({ refused }) => refused === undefined);
  if (left.length === 0) return;
  const next = Math.min(...left.map(({ due }) => (due > Date.now() ? due - Date.now() : wait)));
  timer = setTimeout(() => {
    // Some that were not due are.
    outbox.value = [...outbox.peek()];
    if (next === wait) wait = Math.min(2 * wait, maxAgainMillis);
    void sendWaiting();
  }, next);
}

/** Where what waits is shown: the topic that is read, lists that are kept. */
interface View {
  own(bytes: Uint8Array, place: Place): void;
  undo(id: Hash): void;
  sent?(id: Hash): void;
}

/** What each shows of them. */
const shown = new WeakMap<View, Set<Hash>>();

/** Gives a view what waits, and takes back what was taken back. */
function show(view: View, items: readonly Item[]): void {
  const own = shown.get(view) ?? new Set();
  shown.set(view, own);
  for (const { id, place, bytes } of items) {
    if (own.has(id)) continue;
    own.add(id);
    view.own(bytes, place);
  }
  const here = new Set(outbox.peek().map(({ id }) => id));
  for (const id of own) {
    if (here.has(id)) continue;
    own.delete(id);
    if (fates.get(id) === false) view.undo(id);
    else view.sent?.(id);
  }
}

/** Shows what waits for a place, until what this returns is called. */
export function showIn(where: Place, view: View): () => void {
  return effect(() => show(view, outbox.value.filter(({ place }) => placeText(place) === placeText(where))));
}

/** A topic has what was written to it, and what was said on the lists that are used. */
function showInTopic(topic: Topic): void {
  const places = new Set([topic, ...lists.value].map(({ place }) => placeText(place)));
  const items = outbox.value.filter(({ place }) => places.has(placeText(place)));
  const going = new Map(items.flatMap(({ due, target }) => (due > Date.now() && target !== undefined ? [[target, due] as const] : [])));
  show(topic, items.filter(({ due }) => due <= Date.now()));
  const before = topic.going.peek();
  if (going.size !== before.size || [...going].some(([id]) => !before.has(id))) topic.going.value = going;
}

let isStarted = false;

/** From here on what waits is shown and sent. */
export function startOutbox(): void {
  if (isStarted) return;
  isStarted = true;
  if (others !== undefined) {
    others.onmessage = ({ data: { id, sent } }: MessageEvent<{ id: Hash; sent?: boolean }>) => {
      if (sent !== undefined) fates.set(id, sent);
      void load();
    };
  }
  effect(() => {
    const topic = current.value;
    if (topic !== undefined) showInTopic(topic);
  });
  void load().then(() => effect(() => {
    if (working.value > 0 && online.value) void sendWaiting();
  }));
}
