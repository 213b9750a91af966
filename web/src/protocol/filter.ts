// Moderators' lists and the filters that readers make of them: SPEC.md, "Moderators' lists". A list is a topic that
// follows from its owner's key, so nobody else's acts are heard in it.

import type { Document } from "./document.ts";
import { type Hash, type Place, placeText } from "./hash.ts";
import { type Kind, kindOf, listTopic, moderation, tagOf, targetKeyOf, targetOf, targetTagOf, type Yes } from "./kinds.ts";
import { isNewer, living } from "./living.ts";

/** The newest act on one thing: a yes (hide, pin, ...) or a no (show, unpin, ...). */
interface Word {
  readonly yes: boolean;
  readonly document: Document;
}

/** What one key says under one tag. Things are ids, keys, or "<key> <tag>" of a delegate. */
interface List {
  readonly place: Place;
  /** Absent while no act is known: the topic's hash does not tell them. */
  readonly key?: string;
  readonly tag?: string;
  readonly words: Readonly<Record<Yes, ReadonlyMap<string, Word>>>;
}

/** A list and those of its delegates. */
export interface Filter {
  readonly list: Place;
  readonly owner: List;
  /** Sorted by place. */
  readonly delegates: readonly List[];
  /** Delegates beyond those that are heard. */
  readonly unheard: number;
}

/** What a filter says in all, as in testdata/vectors/filters.json; what is empty is absent. */
export interface FilterSummary {
  readonly list: string;
  readonly key?: string;
  readonly tag?: string;
  readonly delegates?: readonly string[];
  readonly hidden?: readonly string[];
  readonly shown?: readonly string[];
  readonly pinned?: readonly string[];
  readonly locked?: readonly string[];
  readonly banned?: readonly string[];
}

const yeses = Object.keys(moderation) as Yes[];
const answers = new Map<Kind | "unknown", { readonly about: Yes; readonly yes: boolean }>(
  yeses.flatMap((about) => [
    [about, { about, yes: true }],
    [moderation[about], { about, yes: false }],
  ]),
);

/**
 * The filter of the list at a place. documents: those of the list and of its delegates' lists, in any order. most: delegates
 * that are heard, since all documents are looked through for each.
 */
export function readFilter(list: Place, documents: Iterable<Document>, now: number, most = Number.POSITIVE_INFINITY): Filter {
  const all = [...documents];
  const owner = readList(list, all, now);
  const topics: Hash[] = [];
  for (const [thing, { yes }] of owner.words.delegate) {
    const topic = listTopic(thing.slice(0, 64), thing.slice(65));
    if (yes && topic !== list.topic) topics.push(topic);
  }
  const delegates = topics.sort().slice(0, most).map((topic) => readList({ community: list.community, topic }, all, now));
  return { list, owner, delegates, unheard: topics.length - delegates.length };
}

function readList(place: Place, documents: Iterable<Document>, now: number): List {
  const words = { hide: new Map(), pin: new Map(), lock: new Map(), ban: new Map(), delegate: new Map() } satisfies Record<
    Yes,
    Map<string, Word>
  >;
  // One key and tag give a topic, and most acts of a list have them.
  let whose: { key: string; tag: string } | undefined;
  for (const document of living(place, documents, now).documents) {
    const answer = answers.get(kindOf(document));
    const key = document.signed?.key;
    const tag = tagOf(document);
    if (answer === undefined || key === undefined || tag === undefined) continue;
    if (whose === undefined ? listTopic(key, tag) !== place.topic : key !== whose.key || tag !== whose.tag) continue;
    const thing = thingOf(document, answer.about);
    if (thing === undefined) continue;
    whose = { key, tag };
    const about: Map<string, Word> = words[answer.about];
    const other = about.get(thing);
    if (other === undefined || isNewer(document, other.document)) about.set(thing, { yes: answer.yes, document });
  }
  return { place, ...whose, words };
}

/** What an act is on. */
function thingOf(document: Document, about: Yes): string | undefined {
  if (about !== "ban" && about !== "delegate") return targetOf(document);
  const key = targetKeyOf(document);
  const tag = targetTagOf(document);
  if (about === "ban" || key === undefined) return key;
  return tag === undefined ? undefined : `${key} ${tag}`;
}

/** A list's word on one thing that may have several names: the newest act on any of them. */
function wordOf(list: List, about: Yes, names: readonly string[]): boolean | undefined {
  let newest: Word | undefined;
  for (const name of names) {
    const word = list.words[about].get(name);
    if (word !== undefined && (newest === undefined || isNewer(word.document, newest.document))) newest = word;
  }
  return newest?.yes;
}

/** A filter's word: the owner's; else yes if a delegate's is. */
export function filterWord(filter: Filter, about: Yes, names: readonly string[]): boolean | undefined {
  const word = wordOf(filter.owner, about, names);
  if (word !== undefined) return word;
  return filter.delegates.some((list) => wordOf(list, about, names) === true) ? true : undefined;
}

/** Whether a filter hides a comment of these ids. A word on the comment outweighs one on its author. */
export function hides(filter: Filter, ids: readonly Hash[], key: string | undefined): boolean {
  return filterWord(filter, "hide", ids) ?? (key !== undefined && bans(filter, key));
}

export function bans(filter: Filter, key: string): boolean {
  return filterWord(filter, "ban", [key]) === true;
}

export function summarize(filter: Filter): FilterSummary {
  const { list, owner, delegates } = filter;
  const lists = [owner, ...delegates];
  const yes = (about: Yes): string[] => {
    const things = new Set(lists.flatMap((each) => [...each.words[about].keys()]));
    return [...things].filter((thing) => filterWord(filter, about, [thing]) === true).sort();
  };
  const sets = {
    delegates: delegates.map((each) => placeText(each.place)),
    hidden: yes("hide"),
    shown: [...owner.words.hide].filter(([, word]) => !word.yes).map(([id]) => id).sort(),
    pinned: yes("pin"),
    locked: yes("lock"),
    banned: yes("ban"),
  };
  return {
    list: placeText(list),
    ...(owner.key !== undefined && owner.tag !== undefined ? { key: owner.key, tag: owner.tag } : {}),
    ...Object.fromEntries(Object.entries(sets).filter(([, things]) => things.length > 0)),
  };
}
