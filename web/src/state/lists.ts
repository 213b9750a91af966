// Moderators' lists outside of a thread: how one is named, and what it says as it stands. The thread's worker reads it,
// so what is not signed by its owner says nothing here either.

import { type Hash, type Place, placeText } from "../protocol/hash.ts";
import { listTopic, type Yes } from "../protocol/kinds.ts";
import { hashOfPart } from "../route.ts";
import type { FilterView } from "../workers/messages.ts";
import { openQuiet, type Quiet, readAgain } from "./rounds.ts";
import { type Signal, signal } from "./signals.ts";
import { stopReading } from "./topic.ts";

export interface ListName {
  readonly place: Place;
  /** 64 hex digits; with the tag the list is known before it is read. */
  readonly key?: string;
  readonly tag?: string;
}

/** What a person typed, or a link has: a list's id, alone or behind its community, or a key and a tag. */
export function listNamed(text: string, community: string): ListName | undefined {
  const [, link, where = community, topic, key, tag = ""] =
    /^(.*#\/?(?:list\/)?)?(?:([^/\s]+)\/)?(?:([0-9a-f]{40})|([0-9a-f]{64})[/ ](.+))$/.exec(text.trim()) ?? [];
  try {
    const at = hashOfPart(decodeURIComponent(where));
    if (topic !== undefined) return { place: { community: at, topic: topic as Hash } };
    if (key === undefined) return undefined;
    const name = link === undefined && text.includes(" ") ? tag : decodeURIComponent(tag);
    return { place: { community: at, topic: listTopic(key, name) }, key, tag: name };
  } catch {
    return undefined;
  }
}

/** The address of a list's page. One with key and tag says whose list it is before it is read. */
export function listLink({ place, key, tag }: ListName): string {
  return `#list/${key === undefined || tag === undefined ? placeText(place) : `${place.community}/${key}/${encodeURIComponent(tag)}`}`;
}

/** A filter's word about a thing. */
export function wordOf(view: FilterView | undefined, about: Yes, thing: string): boolean | undefined {
  const name = `${about} ${thing}`;
  return view?.own.get(name)?.yes ?? (view?.theirs.has(name) ? true : undefined);
}

/** Whether a filter hides a comment. A word on it outweighs one on its author. */
export function isHidden(view: FilterView | undefined, id: Hash, key: string | undefined): boolean {
  return wordOf(view, "hide", id) ?? (key !== undefined && wordOf(view, "ban", key) === true);
}

export interface OpenList extends Quiet {
  /** Undefined before anything of it is known. */
  readonly view: Signal<FilterView | undefined>;
  /** Resolves when all that the servers have is in the view, or they take too long. */
  readonly heard: Promise<void>;
}

/** Who acts does not wait longer for what his list says already. */
const heardMillis = 5000;

export function openList(place: Place, patience = heardMillis): OpenList {
  const view = signal<FilterView | undefined>(undefined);
  const stops = new Map<string, () => void>();
  let all = false;
  let hear = (): void => undefined;
  const heard = new Promise<void>((resolve) => (hear = resolve));
  const timer = setTimeout(hear, patience);
  let isLive = false;
  const quiet = openQuiet(place, { lists: [place] }, (message) => {
    if (message.kind === "held") read(place);
    if (message.kind === "delegates") {
      stopReading(stops, [place, ...message.places]);
      message.places.forEach(read);
    }
    if (message.kind === "thread") {
      all = message.facts.unverified === 0;
      quiet.ask("lists");
    }
    if (message.kind === "lists") {
      view.value = message.filters[0];
      if (all && isLive) hear();
    }
  });
  function read(where: Place): void {
    const name = placeText(where);
    if (stops.has(name)) return;
    stops.set(name, readAgain(where, quiet.take(where), () => {
      isLive = true;
      quiet.ask("live");
    }));
  }
  return {
    ...quiet, view, heard,
    close() {
      clearTimeout(timer);
      stopReading(stops, []);
      quiet.close();
    },
  };
}
