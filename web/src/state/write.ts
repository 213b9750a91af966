// Writing: keys, signing, work, sending. A document is shown as soon as it is signed; it is on its way until a server
// says that it is on its disk.

import { changeTopic } from "../keep/topics.ts";
import type { KeptKey } from "../keep/person.ts";
import { dropWaiting, keepKey, keepWaiting, keptWaiting } from "../keep/writing.ts";
import { type PostOutcome } from "../net/net.ts";
import { type Draft, signDraft } from "../protocol/build.ts";
import { toHex } from "../protocol/bytes.ts";
import { type Document, isRefusal, maxDocument } from "../protocol/document.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { hashOfName } from "../protocol/hash.ts";
import { publicKey } from "../protocol/signature.ts";
import { voteWork } from "../protocol/work.ts";
import type { Row } from "../workers/messages.ts";
import { payWork } from "../workers/working.ts";
import { setActive } from "./choices.ts";
import { activeKey, type Me, me, people } from "./me.ts";
import { keeping, servers, startNet } from "./page.ts";
import type { Topic } from "./topic.ts";

/** Servers that a document is given to; they give it to the others. */
export const wantedServers = 2;
/** A delete can be taken back so long. */
export const undoMillis = 10_000;
/** Work that is paid without being asked twice: some seconds of it. */
export const maxFreeWork = 24;

/** Codes of posts that reached nobody: they say nothing of the document. */
const outOfReach = new Set(["no-server", "unreachable", "timeout", "broke", "lied", "stopped", "stopping"]);

export type SendState =
  | { readonly at: "sending" }
  | { readonly at: "working"; readonly part: number }
  | { readonly at: "saved"; readonly servers: number; readonly done: boolean }
  | { readonly at: "failed"; readonly code: string; readonly detail: string; readonly retryAfter: number };

/** Makes a key; nobody is asked, nothing is sent. */
export async function makeKey(name: string): Promise<Me> {
  return addKey(crypto.getRandomValues(new Uint8Array(32)), name, false);
}

/** Keeps a key, new or brought from elsewhere, and signs with it from now on. */
export async function addKey(seed: Uint8Array, name: string, saved: boolean): Promise<Me> {
  const key = toHex(publicKey(seed));
  const there = people.peek().find((each) => each.key === key);
  if (there === undefined) {
    await changeKey({ key, kept: { seed, name, made: Date.now(), saved } }, {});
    // A browser that is short of room drops what it was not asked to hold.
    void navigator.storage?.persist?.().catch(() => false);
  }
  setActive(key);
  return people.peek().find((each) => each.key === key) as Me;
}

export async function changeKey({ key, kept }: Me, change: Partial<KeptKey>): Promise<void> {
  const next = { ...kept, ...change };
  await keepKey(await keeping, key, next);
  const others = people.peek().filter((each) => each.key !== key);
  people.value = [...others, { key, kept: next }].sort((a, b) => a.kept.made - b.kept.made);
}

export async function forgetKey({ key }: Me): Promise<void> {
  await (await keeping).remove("keys", key);
  people.value = people.peek().filter((each) => each.key !== key);
  if (activeKey.peek() === key) setActive(people.peek()[0]?.key ?? "");
}

interface Said {
  readonly kind?: Exclude<Draft["kind"], undefined>;
  readonly target?: Hash;
  readonly parent?: Hash;
  readonly date?: Date;
  readonly body: string;
}

function draftOf(topic: Topic, author: Me, said: Said): Draft {
  const name = topic.name.peek();
  // A document that says the topic's name makes it one that servers can list; one such document is enough.
  const says = name !== "" && topic.facts.peek().name === "" && hashOfName(name) === topic.place.topic && said.kind === undefined;
  return {
    place: topic.place,
    ...(said.kind === "delete" ? {} : { date: new Date() }),
    ...said,
    ...(author.kept.name !== "" && said.kind === undefined ? { user: author.kept.name } : {}),
    ...(says ? { name } : {}),
  };
}

async function pay(draft: Draft, author: Me, bits: number, tell: (part: number) => void, signal: AbortSignal): Promise<Draft> {
  const nonce = await payWork({ draft, key: author.key, bits }, (tried) => tell(1 - Math.exp(-tried / 2 ** bits)), signal);
  return { ...draft, nonce };
}

function signed(draft: Draft, author: Me): Document {
  const document = signDraft(draft, author.kept.seed);
  if (isRefusal(document)) throw new RangeError(document.detail);
  return document;
}

/** What the servers that are used ask of every post. */
function usualWork(): number {
  return Math.max(0, ...servers.peek().filter(({ state }) => state === "working").map(({ limits }) => limits?.work ?? 0));
}

/** Documents that this visit sends, or will send when their time has come. */
const underWay = new Set<Hash>();

/** Where a document is shown while it is on its way. */
export type Shown = Pick<Topic, "place" | "own" | "undo" | "sent">;

/** Signs, pays, shows and sends. Resolves when all is known; whether a server has it. */
export async function send(topic: Shown, author: Me, unpaid: Draft, least: number, tell: (state: SendState) => void, signal: AbortSignal): Promise<boolean> {
  const keep = await keeping;
  let bits = Math.max(least, Math.min(usualWork(), maxFreeWork));
  for (let round = 0; ; round++) {
    tell({ at: "sending" });
    const working = (part: number): void => tell({ at: "working", part });
    const draft = bits === 0 ? unpaid : await pay(unpaid, author, bits, working, signal);
    const document = signed(draft, author);
    topic.own(document.bytes);
    underWay.add(document.id);
    await keepWaiting(keep, topic.place, document.id, { bytes: document.bytes, at: Date.now(), due: 0 }).catch(() => undefined);
    const { saved, refused } = await deliver(topic.place, document.bytes, (count) => {
      if (count === 1) topic.sent(document.id);
      tell({ at: "saved", servers: count, done: false });
    }, signal).finally(() => underWay.delete(document.id));
    await dropWaiting(keep, topic.place, document.id).catch(() => undefined);
    if (saved > 0) {
      tell({ at: "saved", servers: saved, done: true });
      return true;
    }
    topic.undo(document.id);
    const asks = Math.max(0, ...refused.filter(({ code }) => code === "work-needed").map(({ work }) => work));
    if (asks > bits && asks <= maxFreeWork && round < 3) {
      bits = asks;
      continue;
    }
    const why = refused.find(({ code }) => !outOfReach.has(code)) ?? refused[0];
    tell({ at: "failed", code: why?.code ?? "no-server", detail: why?.detail ?? "", retryAfter: why?.retryAfter ?? 0 });
    return false;
  }
}

type Refused = Extract<PostOutcome, { ok: false }>;

async function deliver(place: Place, bytes: Uint8Array, tell: (saved: number) => void, signal: AbortSignal): Promise<{ saved: number; refused: Refused[] }> {
  let saved = 0;
  const refused: Refused[] = [];
  const made = await startNet();
  await made?.post(place, bytes, wantedServers, (outcome) => {
    if (outcome.ok) tell(++saved);
    else refused.push(outcome);
  }, signal).catch((error: unknown) => {
    if (signal.aborted) throw error;
  });
  return { saved, refused };
}

/** Who posts: the name that is in use, made now if there is none. */
export async function author(): Promise<Me> {
  return me.peek() ?? makeKey("");
}

export type Writing = { readonly kind: "comment" } | { readonly kind: "reply" | "edit"; readonly row: Row };

/** Posts what was written. */
export async function post(topic: Topic, about: Writing, body: string, tell: (state: SendState) => void, signal: AbortSignal): Promise<boolean> {
  const who = about.kind === "edit" ? ownerOf(about.row) : await author();
  if (who === undefined) throw new Error("another key's comment");
  const said: Said =
    about.kind === "edit" ? { kind: "edit", target: about.row.id, body } : about.kind === "reply" ? { parent: about.row.id, body } : { body };
  const done = await send(topic, who, draftOf(topic, who, said), 0, tell, signal);
  if (done && !topic.followed.peek()) topic.follow(true);
  if (done) await changeTopic(await keeping, topic.place, { name: topic.name.peek() }).catch(() => undefined);
  return done;
}

export function ownerOf({ key }: Row): Me | undefined {
  return people.peek().find((each) => each.key === key);
}

/** The bytes that a text would have too many; 0 if it can be posted. */
export function tooLong(topic: Topic, body: string): number {
  const limit = Math.min(maxDocument, ...servers.peek().flatMap(({ state, limits }) => (state === "working" && limits !== undefined ? [limits.maxSize] : [])));
  // Headers of the longest kind that this page writes, with a name and a nonce.
  const headers = 600 + new TextEncoder().encode(topic.name.peek()).length + new TextEncoder().encode(me.peek()?.kept.name ?? "").length;
  return Math.max(0, new TextEncoder().encode(body).length + headers - limit);
}

/** Votes, which costs a second or so of work. */
export async function vote(topic: Topic, row: Row, say: "up" | "down" | "none", tell: (state: SendState) => void): Promise<boolean> {
  const who = await author();
  const draft = draftOf(topic, who, { kind: "vote", target: row.id, body: say });
  return send(topic, who, draft, voteWork, tell, new AbortController().signal);
}

const timers = new Map<Hash, ReturnType<typeof setTimeout>>();
const deletes = new Map<Hash, Hash>();

/** Deletes a comment in ten seconds. What is closed meanwhile does it when it is opened again. */
export async function remove(topic: Topic, row: Row, failed: () => void): Promise<void> {
  const who = ownerOf(row);
  if (who === undefined) return;
  const said: Said = {
    kind: "delete", target: row.id, body: "",
    ...(row.parent !== undefined ? { parent: row.parent } : {}),
    ...(row.date !== undefined ? { date: new Date(row.date) } : {}),
  };
  const draft = draftOf(topic, who, said);
  const bits = Math.min(usualWork(), maxFreeWork);
  const due = Date.now() + undoMillis;
  topic.going.value = new Map(topic.going.peek()).set(row.id, due);
  const paid = bits === 0 ? draft : await pay(draft, who, bits, () => undefined, new AbortController().signal);
  const document = signed(paid, who);
  deletes.set(row.id, document.id);
  underWay.add(document.id);
  const keep = await keeping;
  await keepWaiting(keep, topic.place, document.id, { bytes: document.bytes, at: Date.now(), due }).catch(() => undefined);
  timers.set(row.id, setTimeout(() => void go(), Math.max(0, due - Date.now())));

  async function go(): Promise<void> {
    timers.delete(row.id);
    topic.own(document.bytes);
    stopGoing(topic, row.id);
    const { saved } = await deliver(topic.place, document.bytes, (count) => {
      if (count === 1) topic.sent(document.id);
    }, new AbortController().signal);
    // What no server took stays in the outbox, and is sent again.
    underWay.delete(document.id);
    if (saved > 0) await dropWaiting(keep, topic.place, document.id).catch(() => undefined);
    else failed();
  }
}

export async function undoRemove(topic: Topic, id: Hash): Promise<void> {
  clearTimeout(timers.get(id));
  timers.delete(id);
  stopGoing(topic, id);
  const document = deletes.get(id);
  if (document === undefined) return;
  underWay.delete(document);
  await dropWaiting(await keeping, topic.place, document).catch(() => undefined);
}

function stopGoing(topic: Topic, id: Hash): void {
  const next = new Map(topic.going.peek());
  next.delete(id);
  topic.going.value = next;
}

/** Sends what was left: deletes that no server took, and what was on its way when the page was closed. */
export async function sendWaiting(): Promise<void> {
  const keep = await keeping;
  for (const [place, id, { bytes, due }] of await keptWaiting(keep).catch(() => [])) {
    if (due > Date.now() || underWay.has(id as Hash)) continue;
    const { saved, refused } = await deliver(place, bytes, () => undefined, new AbortController().signal);
    const settled = saved > 0 || (refused.length > 0 && refused.every(({ code }) => !outOfReach.has(code) && code !== "rate-limited" && code !== "busy"));
    if (settled) await dropWaiting(keep, place, id).catch(() => undefined);
  }
}
