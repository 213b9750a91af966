// Writing: keys, and what is said with them. A document is shown as soon as it is signed; it is the outbox's until a
// server says that it is on its disk.

import { changeTopic } from "../keep/topics.ts";
import type { KeptKey } from "../keep/person.ts";
import { keepKey } from "../keep/writing.ts";
import type { Draft } from "../protocol/build.ts";
import { toHex, utf8 } from "../protocol/bytes.ts";
import { maxDocument } from "../protocol/document.ts";
import { type Hash, hashOfName } from "../protocol/hash.ts";
import { publicKey } from "../protocol/signature.ts";
import { voteWork } from "../protocol/work.ts";
import type { Row } from "../workers/messages.ts";
import { setActive } from "./choices.ts";
import { sayFull } from "./full.ts";
import { activeKey, type Me, me, people } from "./me.ts";
import { type Item, maxFreeWork, outbox, post as postItem, postLater, sign, takeBack, type Tell } from "./outbox.ts";
import { keeping, servers } from "./page.ts";
import type { Topic } from "./topic.ts";

/** A delete can be taken back so long. */
export const undoMillis = 10_000;

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
  await keepKey(await keeping, key, next).catch((error: unknown) => {
    if (error instanceof RangeError) throw error;
    sayFull();
  });
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

/** What the servers that are used ask of every post. */
function usualWork(): number {
  return Math.max(0, ...servers.peek().filter(({ state }) => state === "working").map(({ limits }) => limits?.work ?? 0));
}

/** No two are written at one time: it is their order. */
let lastAt = 0;

/** Pays and signs what is to wait until it is sent, or until it is due. */
async function itemOf(draft: Draft, author: Me, least: number, due: number, tell: Tell, signal: AbortSignal): Promise<Item> {
  const bits = Math.max(least, Math.min(usualWork(), maxFreeWork));
  const { id, bytes } = await sign(draft, author, bits, tell, signal);
  const { place, target } = draft;
  lastAt = Math.max(Date.now(), lastAt + 1);
  return { id, place, bytes, draft, key: author.key, at: lastAt, due, ...(target !== undefined ? { target } : {}) };
}

/** Signs and sends; whether it is in good hands: see outbox.ts, post. */
export async function send(draft: Draft, author: Me, least: number, tell: Tell, signal = new AbortController().signal): Promise<boolean> {
  return postItem(await itemOf(draft, author, least, 0, tell, signal), tell, signal);
}

/** Who posts: the name that is in use, made now if there is none. */
export async function author(): Promise<Me> {
  return me.peek() ?? makeKey("");
}

export type Writing = { readonly kind: "comment" } | { readonly kind: "reply" | "edit"; readonly row: Row };

/** Posts what was written. */
export async function post(topic: Topic, about: Writing, body: string, tell: Tell, signal: AbortSignal): Promise<boolean> {
  const who = about.kind === "edit" ? ownerOf(about.row) : await author();
  if (who === undefined) throw new Error("another key's comment");
  const said: Said =
    about.kind === "edit" ? { kind: "edit", target: about.row.id, body } : about.kind === "reply" ? { parent: about.row.id, body } : { body };
  tell({ at: "sending" });
  const done = await send(draftOf(topic, who, said), who, 0, tell, signal);
  if (done && !topic.followed.peek()) topic.follow(true);
  if (done) await changeTopic(await keeping, topic.place, { name: topic.name.peek() }).catch(() => undefined);
  return done;
}

export function ownerOf({ key }: Row): Me | undefined {
  return people.peek().find((each) => each.key === key);
}

/** The bytes that a text would have too many; 0 if it can be posted. */
export function tooLong(topic: Topic, body: string): number {
  const sizes = servers.peek().flatMap(({ state, limits }) => (state === "working" && limits !== undefined ? limits.maxSize : []));
  // One server that takes it is enough.
  const limit = Math.min(maxDocument, Math.max(...(sizes.length > 0 ? sizes : [maxDocument])));
  // Headers of the longest kind that this page writes, with a name and a nonce.
  const said = topic.name.peek() + (me.peek()?.kept.name ?? "") + body;
  return Math.max(0, 600 + utf8(said).length - limit);
}

/** Votes, which costs a second or so of work. */
export async function vote(topic: Topic, row: Row, say: "up" | "down" | "none", tell: Tell): Promise<boolean> {
  const who = await author();
  return send(draftOf(topic, who, { kind: "vote", target: row.id, body: say }), who, voteWork, tell);
}

/** Deletes a comment in ten seconds. What is closed meanwhile does it when it is opened again. */
export async function remove(topic: Topic, row: Row, failed: () => void): Promise<void> {
  const who = ownerOf(row);
  if (who === undefined) return;
  const said: Said = {
    kind: "delete", target: row.id, body: "",
    ...(row.parent !== undefined ? { parent: row.parent } : {}),
    ...(row.date !== undefined ? { date: new Date(row.date) } : {}),
  };
  const due = Date.now() + undoMillis;
  topic.going.value = new Map(topic.going.peek()).set(row.id, due);
  try {
    const item = await itemOf(draftOf(topic, who, said), who, 0, due, () => undefined, new AbortController().signal);
    // Undone while it was paid for.
    if (!topic.going.peek().has(row.id)) return;
    let isTold = false;
    await postLater(item, ({ at }) => {
      if (at === "saved" || isTold) return;
      isTold = true;
      failed();
    });
  } catch (error) {
    await undoRemove(topic, row.id);
    throw error;
  }
}

export async function undoRemove(topic: Topic, id: Hash): Promise<void> {
  const item = outbox.peek().find(({ target, due }) => target === id && due > Date.now());
  if (item !== undefined) return takeBack(item.id);
  const next = new Map(topic.going.peek());
  next.delete(id);
  topic.going.value = next;
}
