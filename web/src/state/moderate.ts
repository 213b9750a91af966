// Keeping a list: which ones are the reader's, and what he says on them. An act is a document like any other: signed,
// shown at once, and sent to several servers, or the outbox's until one answers.

import { shared } from "../gateway.ts";
import type { Draft } from "../protocol/build.ts";
import { isHeader } from "../protocol/document.ts";
import { type Hash, parseHash, type Place, placeText } from "../protocol/hash.ts";
import { listTopic, moderation, type Yes } from "../protocol/kinds.ts";
import type { Row } from "../workers/messages.ts";
import { comment } from "../strings/en.ts";
import { compose, lists as t, shared as reading } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { current } from "../ui/app.tsx";
import { setList } from "./choices.ts";
import { type ListName, type OpenList, openList } from "./lists.ts";
import { changeSetting, chosen, people } from "./me.ts";
import { type SendState, showIn } from "./outbox.ts";
import { keeping, tell } from "./page.ts";
import { computed, signal } from "./signals.ts";
import { author, send } from "./write.ts";

export type OwnList = Required<ListName>;

/** Lists of the reader's own. */
export const maxMine = 16;
/** Acts whose comments are remembered in words: an act itself has an id alone. */
export const maxNotes = 500;
/** Acts of one sending that are under way at once. */
const atOnce = 4;
/** Seconds that a server may have one wait, and how often, as on the command line. */
const maxWait = 60;
const maxWaits = 3;
/** The tag of the list that is made for who hides something and has none. */
export const ownTag = "hidden";

const kept = signal<readonly OwnList[]>([]);
const isAt = (place: Place, lists: readonly { readonly place: Place }[]): boolean => lists.some((each) => placeText(each.place) === placeText(place));
/** The first of a community is the one that is written on. The last are those of earlier versions, which had one tag for all. */
export const mine = computed<readonly OwnList[]>(() => [
  ...kept.value,
  ...people.value.flatMap(({ key }) => chosen.value.flatMap(({ place }) => (place.topic === listTopic(key, ownTag) && !isAt(place, kept.value) ? [{ place, key, tag: ownTag }] : []))),
]);

export interface Note {
  readonly thing: string;
  readonly place: Place;
  readonly text: string;
}
/** What is remembered of a comment. */
export const noteOf = ({ body, id }: Row): string => shownName(body) || id;
export const notes = signal<readonly Note[]>([]);

/** Before that it is not known which lists are his. */
export const loaded = keeping.then(async (keep) => {
  kept.value = ((await keep.get("settings", "mine")) ?? []) as readonly OwnList[];
  notes.value = ((await keep.get("settings", "notes")) ?? []) as readonly Note[];
}).catch(() => undefined);

/** The list that is written on in a community; one whose key is not here is none. */
export function listIn(community: Hash): OwnList | undefined {
  return mine.value.find(({ place, key }) => place.community === community && people.value.some((each) => each.key === key));
}

/** Writes on a list from now on, and reads with it. */
export function writeOn(list: OwnList): void {
  const next = (all: readonly unknown[]): OwnList[] => [list, ...(all as readonly OwnList[]).filter(({ place }) => !isAt(place, [list]))].slice(0, maxMine);
  kept.value = next(mine.peek());
  void changeSetting("mine", next);
  if (!isAt(list.place, chosen.peek())) setList({ place: list.place, label: list.tag === ownTag ? t.yourList : shownName(list.tag), off: false });
}

/** A list of the name that is in use: key and tag make it. Undefined if that can be no tag. */
export async function makeList(community: Hash, tag: string): Promise<OwnList | undefined> {
  if (!isHeader("Tag", tag) || parseHash(tag) !== undefined) return undefined;
  const { key } = await author();
  return { place: { community, topic: listTopic(key, tag) }, key, tag };
}

const opened = new Map<string, OpenList>();

/** An own list as it stands. It stays open. */
export function openOwn({ place }: ListName): OpenList {
  let list = opened.get(placeText(place));
  if (list === undefined) {
    opened.set(placeText(place), (list = openList(place)));
    showIn(place, list);
  }
  return list;
}

/** One word: hide or show, of a comment's id; ban or unban, of a key; delegate or undelegate, of "<key> <tag>". */
export interface Act {
  readonly about: Yes;
  readonly yes: boolean;
  readonly thing: string;
  /** What it was on, for who looks at the list. */
  readonly note?: Omit<Note, "thing">;
}

/** What was said last, and how it is taken back. */
export const last = signal<{ readonly list: OwnList; readonly acts: readonly Act[] } | undefined>(undefined);

/** The draft of an act, dated after the list's last word about the same thing: of one second the last counts. */
export function draftOf({ place, tag }: OwnList, { about, yes, thing }: Act, before: string | undefined, now: number): Draft {
  const [key = "", theirs = ""] = about === "delegate" ? [thing.slice(0, 64), thing.slice(65)] : [thing];
  const date = new Date(Math.max(now, (Date.parse(before ?? "") || 0) + 1000));
  return {
    place, date, tag, kind: yes ? about : moderation[about], body: "",
    ...(about === "ban" ? { extra: [["Target-Key", key]] } : about === "delegate" ? { extra: [["Target-Key", key], ["Target-Tag", theirs]] } : { target: thing as Hash }),
  };
}

/** Says something on a list: at once here, then at the servers. What the list says already is not said again. */
export async function say(list: OwnList, all: readonly Act[]): Promise<void> {
  await loaded;
  const who = people.peek().find(({ key }) => key === list.key);
  if (who === undefined || shared) return tell({ text: shared ? reading.text : t.lost, lasts: 8000 });
  // A list that was made for this act is not asked for: no server has it yet, and browsers tell of what they ask for in vain.
  const open = opened.get(placeText(list.place));
  await open?.heard;
  const before = open?.view.peek();
  const acts = all.filter(({ about, yes, thing }) => before?.own.get(`${about} ${thing}`)?.yes !== yes);
  const [first] = acts;
  if (first === undefined) return tell({ text: t.already, lasts: 4000 });
  const drafts = acts.map((act) => draftOf(list, act, before?.own.get(`${act.about} ${act.thing}`)?.date, Date.now()));
  const own = new Map(before?.own);
  acts.forEach(({ about, thing, yes }, i) => own.set(`${about} ${thing}`, { yes, date: drafts[i]?.date?.toISOString() ?? "" }));
  if (open !== undefined) open.view.value = { theirs: new Map(), unheard: 0, ...before, key: list.key, tag: list.tag, own };
  const back = { list, acts: acts.map(turned) };
  last.value = back;
  const noted = acts.flatMap(({ thing, note }) => (note === undefined ? [] : [{ ...note, thing }]));
  const next = (all: readonly unknown[]): Note[] => [...(all as readonly Note[]).filter(({ thing }) => !noted.some((each) => each.thing === thing)), ...noted].slice(-maxNotes);
  notes.value = next(notes.peek());
  void changeSetting("notes", next);

  // What is read now shows it before the list is one of those that are used.
  const stop = open === undefined ? showIn(list.place, { own: (bytes, place) => current.peek()?.own(bytes, place), undo: (id) => current.peek()?.undo(id) }) : undefined;
  const queue = [...acts.keys()];
  const left: Act[] = [];
  /** Servers that each is on: none as long as it waits. */
  const servers = acts.map(() => 0);
  let done = 0;
  let failed: SendState | undefined;
  let isOver = false;
  const tellDone = (more = ""): void => tell({
    text: `${t.done(t.did[first.about][first.yes ? 1 : 0], shownName(list.tag), done, Math.min(...servers))}${more}`, lasts: 8000,
    ...(last.peek() === back ? { action: { label: comment.undo, act: undoLast } } : {}),
  });
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const i = next;
      tell({ text: acts.length === 1 ? compose.sending : t.sending(done, acts.length) });
      for (let waits = 0; ; waits++) {
        let state: SendState | undefined;
        const good = await send(drafts[i] as Draft, who, 0, (now) => {
          state = now;
          if (now.at === "saved") servers[i] = now.servers;
          // It waited.
          if (isOver && now.at === "saved" && now.done && !servers.includes(0)) tellDone();
          if (isOver && now.at === "failed") tell({ text: t.failed(1, whyOf(now)) });
        }).catch(() => false);
        if (good) done++;
        else if (state?.at === "failed" && state.code === "rate-limited" && state.retryAfter > 0 && state.retryAfter <= maxWait && waits < maxWaits) {
          const { retryAfter } = state;
          tell({ text: t.waiting(retryAfter) });
          await new Promise((resolve) => setTimeout(resolve, retryAfter * 1000));
          continue;
        } else {
          // What one act is refused for the others are, too.
          failed = state;
          for (const each of [i, ...queue.splice(0)]) left.push(acts[each] as Act);
        }
        break;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  isOver = true;
  if (done > 0 && open === undefined) writeOn(list);
  stop?.();
  if (left.length === 0) {
    // A ban hides what a delegate writes, and not what he says.
    const counts = acts.some(({ about, yes, thing }) => about === "ban" && yes && [...own].some(([name, word]) => word.yes && name.startsWith(`delegate ${thing} `)));
    return tellDone(counts ? ` ${t.stillCounts}` : "");
  }
  last.value = left.length === acts.length ? undefined : { list, acts: acts.filter((act) => !left.includes(act)).map(turned) };
  // What could not be sent is taken back.
  open?.ask("lists");
  tell({ text: t.failed(left.length, whyOf(failed)), action: { label: compose.retry, act: () => void say(list, left) } });
}

const whyOf = (state: SendState | undefined): string => (state?.at === "failed" && state.detail !== "" ? compose.refused(state.detail) : compose.failed);

const turned = (act: Act): Act => ({ ...act, yes: !act.yes });

export function undoLast(): void {
  const { value } = last;
  last.value = undefined;
  if (value !== undefined) void say(value.list, value.acts);
}
