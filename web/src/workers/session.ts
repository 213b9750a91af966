// One topic as it is read: files in, rows out. A document counts here only once its signature is verified, and so does
// whatever edits, deletes or hides it; the first screen is verified first. Once the reader reads, nothing moves: what is
// new waits until he wants it.

import { fold, type Comment, type Thread } from "../protocol/thread.ts";
import { readFilter, type Filter } from "../protocol/filter.ts";
import { fromHex } from "../protocol/bytes.ts";
import { type Document, isRefusal, judgeDocument } from "../protocol/document.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { kindOf, targetOf, voteOf } from "../protocol/kinds.ts";
import { isNewer } from "../protocol/living.ts";
import { shownName } from "../strings/name.ts";
import type { Claim, FromThread, Reading, Reply, Row, Section, ThreadFacts } from "./messages.ts";

/** Characters of a reply that are told of. */
const maxReplyText = 120;
/** Rows that are drawn as one; a section grows to maxSection before it is cut. */
export const sectionSize = 50;
export const maxSection = 75;
/** Signatures that are checked at once. */
const batch = 128;
/** So many where nothing is drawn in between: enough for all helpers. */
const restBatch = 1024;
/** The first screen. */
const firstRows = 50;
/** Fewer are verified in the order in which they came. */
const orderedFrom = 100;
/** Milliseconds between two drawings of a thread of which more is to come, */
const earlyGap = 4000;
/** and only the beginning of it, unless the reader goes on or what comes takes long. */
const earlyRows = 200;
/** Fewer documents than that are not drawn before all is verified. */
const minDrawn = 250;
/** So many that are not verified have others help; tests reach it with less. */
export const manyUnverified = 1000;
/** Files that come one after the other are parsed before more than the first screen is verified. */
const quietMillis = 30;
/** Lists are read a moment after the thread: what they pin goes first, and no reply is told, for so long after all of that is here. */
export const liftMillis = 5000;
/** Where signatures could not be checked, that is tried again after so long. */
const againMillis = 1000;
// Without word that all is here, so long is waited for more files before the first fold.
const firstMillis = 300;
/** What one server may make this page take for one topic; more is not looked at. */
export const maxSourceFiles = 100_000;
export const maxSourceBytes = 64 << 20;

/** Says of each claim whether it verifies. */
export type CheckAll = (claims: readonly Claim[]) => Promise<readonly boolean[]>;

export interface SessionDeps {
  readonly checkAll: CheckAll;
  /** Has others check while this worker reads; undefined where nobody is free. */
  readonly checkElsewhere: (claims: readonly Claim[]) => ReturnType<CheckAll> | undefined;
  readonly now: () => number;
  readonly tell: (message: SessionMessage, transfer?: Transferable[]) => void;
  /** Keeps verified files, or all that are left after a removal. */
  readonly keepFiles: (files: readonly Uint8Array[], all: boolean) => void;
  /** Remembers a folder all of whose files were kept before, and how many files there are. */
  readonly keepFolder: (id: string, files: number) => void;
  /** Lets other messages be read. */
  readonly pause: () => Promise<void>;
}

type WithoutSession<M> = M extends { session: number } ? Omit<M, "session"> : never;
export type SessionMessage = WithoutSession<FromThread>;

/** A document that is parsed and whose signature is not checked yet. */
interface Unverified {
  readonly document: Document;
  readonly claim: Claim;
  /** It came when all that the network had was here already. */
  readonly news: boolean;
}

export interface Session {
  readonly place: Place;
  /** Files that are kept: verified before. visited: whether the reader was here before; folder: one that so many are all of. */
  restore(files: readonly Uint8Array[], visited: boolean, folder: string, least?: number): Promise<void>;
  /** ids: see messages.ts. */
  files(files: readonly Uint8Array[], server: string, list?: Place, ids?: readonly (Hash | undefined)[]): Promise<void>;
  own(bytes: Uint8Array, list?: Place): Promise<void>;
  undo(id: Hash): void;
  sent(id: Hash): void;
  read(reading: Reading): void;
  settle(): void;
  live(): void;
  folder(id: string): void;
  apply(): void;
  /** What the lists say, in the reader's order. */
  filters(): readonly Filter[];
  close(): void;
}

export function openSession(place: Place, first: Reading, { checkAll, checkElsewhere, now, tell, keepFiles, keepFolder, pause }: SessionDeps, many = manyUnverified): Session {
  let reading = first;
  let closed = false;
  let settled = false;
  let liftsUntil = 0;
  let isLive = false;
  let visited = false;
  let shownOnce = false;
  /** All that the network had is verified and was drawn. */
  let isWholeShown = false;
  /** The lists had their time since. */
  let isHeard = false;
  /** Only the beginning of the thread is drawn. */
  let isEarly = true;
  const documents = new Map<Hash, Document>();
  /** Of the lists that the reader chose and of their delegates. */
  const listDocuments = new Map<Hash, Document>();
  const unverified = new Map<Hash, Unverified>();
  /** Those of them that are checked elsewhere. */
  const elsewhere = new Set<Hash>();
  let isBack: Promise<unknown> = Promise.resolve();
  /** All ids that came, so that none is looked at twice. */
  const seen = new Set<Hash>();
  /** Comments that the reader has not asked for yet. */
  const pending = new Set<Hash>();
  /** Comments that what is being verified has not got to: until then they would move what comes before them. */
  const later = new Set<Hash>();
  /** Comments that came after he was here last. */
  const fresh = new Set<Hash>();
  /** Own documents that no server is known to have. */
  const held = new Set<Hash>();
  const given = new Map<string, { files: number; bytes: number }>();
  let toKeep: Uint8Array[] = [];
  let kept = 0;
  let filters: Filter[] = [];
  let sections: Section[] = [];
  let sent = new Map<string, readonly Row[]>();
  let topOrder: Hash[] | undefined;
  let pumping: Promise<void> | undefined;
  let firstCount = 0;
  let isWhole = true;
  let folderId: string | undefined;
  let drawTimer: ReturnType<typeof setTimeout> | undefined;
  let drawnSize = 0;
  let drawnAt = 0;
  let cameAt = 0;
  let firstFile: number | undefined;
  let firstTimer: ReturnType<typeof setTimeout> | undefined;

  const isHere = ({ topic, community }: Place): boolean => topic === place.topic && community === place.community;

  /** Parses a file; its signature is left for later. */
  async function parse(bytes: Uint8Array, where: Place, id?: Hash): Promise<{ readonly document: Document; readonly claim: Claim | undefined } | undefined> {
    const sum = id === undefined ? undefined : { hash: fromHex(id), collision: false };
    let claim: Claim | undefined;
    const verdict = await judgeDocument(bytes, where, async (key, message, signature) => {
      claim = { key, message, signature };
      return true;
    }, sum);
    return isRefusal(verdict) ? undefined : { document: verdict, claim };
  }

  function enter(document: Document, how: "restored" | "came" | "news" | "own"): void {
    if (!isHere(document.place)) {
      listDocuments.set(document.id, document);
      return;
    }
    documents.set(document.id, document);
    // What the reader wrote is kept once a server has it: until then it may be taken back, and the outbox has it.
    if (how === "own") held.add(document.id);
    else if (how !== "restored") toKeep.push(document.bytes);
    const mine = document.signed !== undefined && reading.mine.includes(document.signed.key);
    if (kindOf(document) !== "comment" || how === "own" || how === "restored" || mine) return;
    if (visited || how === "news") fresh.add(document.id);
    if (shownOnce && (settled || how === "news")) pending.add(document.id);
  }

  /**
   * While a thread is loading it is drawn when there is twice as much as before: all drawings together cost no more than
   * twice the last, and the page has rows to make meanwhile. Until all is here each moves what was drawn, and keeps a page
   * busy that has files to read.
   */
  const isTime = (count: number): boolean => count >= 2 * drawnSize && (isAll() || now() >= drawnAt + earlyGap);

  /** All that one server has is here: it is known what comes after what. */
  const isAll = (): boolean => isLive || folderId !== undefined;

  /** A verdict on each. */
  function decide(some: readonly Unverified[], verdicts: readonly boolean[]): void {
    some.forEach(({ document, news }, i) => {
      unverified.delete(document.id);
      if (verdicts[i] === true) enter(document, news ? "news" : "came");
    });
  }

  /** Has others verify while more is read; what is left then is verified here, in order. */
  function lend(): void {
    while (!closed && shownOnce && !isAll() && unverified.size - elsewhere.size >= many) {
      const some: Unverified[] = [];
      for (const one of unverified.values()) {
        if (!elsewhere.has(one.document.id) && some.push(one) === batch) break;
      }
      const verdicts = checkElsewhere(some.map(({ claim }) => claim));
      if (verdicts === undefined) return;
      for (const { document } of some) elsewhere.add(document.id);
      // Without a verdict they are verified here.
      const back = verdicts.then((all) => decide(some, all), () => undefined).then(() => {
        for (const { document } of some) elsewhere.delete(document.id);
        lend();
      });
      isBack = Promise.all([isBack, back]);
    }
  }

  /** Verifies what waits, the first screen first, and draws now and then. */
  async function pump(): Promise<void> {
    if (elsewhere.size > 0) await isBack;
    // Where others verified most of it meanwhile, the rest is verified before it would be in order.
    const isRest = shownOnce && isAll() && unverified.size < documents.size;
    // What comes after the first screen is put in order once, when all of it is here.
    const isOrdered = !isRest && unverified.size > orderedFrom && (!shownOnce || isAll());
    const size = isRest ? restBatch : batch;
    const queue = isOrdered ? byPriority() : [...unverified.keys()];
    const wasAll = isAll();
    for (let at = 0; at < queue.length && !closed; at += size) {
      const some = queue.slice(at, at + size).flatMap((id) => {
        const one = elsewhere.has(id) ? undefined : unverified.get(id);
        return one === undefined ? [] : [one];
      });
      if (queue.length > orderedFrom && shownOnce && !isAll() && now() < cameAt + quietMillis) await new Promise((resolve) => setTimeout(resolve, quietMillis));
      let verdicts: readonly boolean[] = [];
      try {
        if (some.length > 0) verdicts = await checkAll(some.map(({ claim }) => claim));
      } catch {
        // What checks could not be fetched, and perhaps can be later.
        return new Promise((resolve) => setTimeout(resolve, againMillis));
      }
      for (const id of queue.slice(at, at + size)) later.delete(id);
      decide(some, verdicts);
      // What is here is put in order before it is drawn.
      if (shownOnce && isAll() && !wasAll && unverified.size > orderedFrom) return;
      const done = at + size;
      if (done < queue.length && !isRest && (shownOnce ? isTime(isOrdered ? done : documents.size) : done >= firstCount)) draw();
      if (some.length > 0) await pause();
    }
    if (shownOnce && isAll() && unverified.size > orderedFrom) return;
    later.clear();
    if (!shownOnce || isAll() || isTime(documents.size)) draw();
    else drawTimer ??= setTimeout(drawAll, earlyGap);
  }

  /**
   * All there is in the order in which it is read, each comment with what acts on it: then what is verified is a
   * beginning of the thread, as it will be, and what follows moves nothing.
   */
  function byPriority(): Hash[] {
    const { comments } = foldAll([...documents.values(), ...[...unverified.values()].map(({ document }) => document)]);
    const acts = new Map<Hash, Hash[]>();
    // Deletes of what is not shown come before what they delete.
    const rest: Hash[] = [];
    for (const { document } of unverified.values()) {
      const target = kindOf(document) === "comment" ? undefined : targetOf(document);
      if (target === undefined) continue;
      rest.push(document.id);
      const others = acts.get(target);
      if (others === undefined) acts.set(target, [document.id]);
      else others.push(document.id);
    }
    const ordered = new Set<Hash>();
    later.clear();
    const shown = new Set([...sent.values()].flatMap((rows) => rows.map(({ id }) => id)));
    comments.forEach(({ id, aliases = [] }, i) => {
      for (const each of [id, ...aliases]) {
        ordered.add(each);
        if (!shown.has(id)) later.add(each);
        for (const act of acts.get(each) ?? []) ordered.add(act);
      }
      if (i < firstRows) firstCount = ordered.size;
    });
    for (const id of rest) ordered.add(id);
    // Comments under what is deleted or not here, and what the fold leaves out.
    for (const id of unverified.keys()) ordered.add(id);
    return [...ordered];
  }

  function wake(): void {
    if (closed || pumping !== undefined) return;
    if (!shownOnce && !isLive && folderId === undefined) {
      // The first fold is of as much as comes at once.
      firstFile ??= now();
      const left = firstFile + firstMillis - now();
      if (left > 0) {
        firstTimer ??= setTimeout(() => {
          firstTimer = undefined;
          wake();
        }, left);
        return;
      }
    }
    pumping = pump().finally(() => {
      pumping = undefined;
      if (unverified.size > 0) wake();
    });
  }

  function hear(): void {
    isHeard = true;
    if (fresh.size > 0) draw();
  }

  function drawAll(): void {
    isEarly = false;
    draw();
  }

  function foldAll(all: Iterable<Document>): Thread {
    return fold(place, all, filters, now(), reading.order);
  }

  /** The reader's votes: the newest on each comment of each of his keys; the last key's counts for what is shown. */
  function ownVotes(): Map<Hash, "up" | "down"> {
    const newest = new Map<Hash, Document>();
    for (const document of documents.values()) {
      const key = document.signed?.key;
      const target = targetOf(document);
      if (key === undefined || target === undefined || !reading.mine.includes(key) || voteOf(document) === undefined) continue;
      const other = newest.get(target);
      if (other === undefined || isNewer(document, other)) newest.set(target, document);
    }
    const votes = new Map<Hash, "up" | "down">();
    for (const [target, document] of newest) {
      const vote = voteOf(document);
      if (vote === "up" || vote === "down") votes.set(target, vote);
    }
    return votes;
  }

  /** What is new and answers one of the reader's comments. It is told once, so the lists that may hide it are waited for. */
  function replies(comments: readonly Comment[]): Reply[] {
    if (fresh.size === 0 || (reading.lists.length > 0 && !isHeard)) return [];
    return comments.flatMap((comment): Reply[] => {
      const { id, parent, key = "", user = "", body } = comment;
      const answered = parent === undefined ? undefined : documents.get(parent)?.signed?.key;
      if (!fresh.has(id) || answered === undefined || !reading.mine.includes(answered) || hiddenBy(comment) !== undefined) return [];
      return [{ id, key, user: shownName(user), text: body.slice(0, maxReplyText) }];
    });
  }

  function readLists(): void {
    // A topic may be a list itself.
    const all = reading.lists.length === 0 ? [] : [...listDocuments.values(), ...documents.values()];
    filters = reading.lists.map((list) => readFilter(list, all, now(), maxDelegates));
    // Of a filter, and not of what is posted to a list: anybody may post there, and would have others read for him.
    tell({ kind: "delegates", places: filters.flatMap(({ delegates }) => delegates.map((each) => each.place)) });
  }

  /** Folds what is verified and sends what changed. */
  function draw(): void {
    if (closed) return;
    clearTimeout(drawTimer);
    drawTimer = undefined;
    readLists();
    const here = [...documents.values()].filter(({ id }) => !later.has(id));
    let thread = foldAll(here.filter(({ id }) => !pending.has(id)));
    let all = thread;
    let waiting = 0;
    if (pending.size > 0) {
      all = foldAll(here);
      if (!isWholeShown && letEndIn(thread, all)) thread = foldAll(here.filter(({ id }) => !pending.has(id)));
      waiting = all.total - thread.total;
    }
    const comments = inOrder(thread.comments).slice(0, isEarly ? earlyRows : undefined);
    const rows = toRows(comments);
    const facts: ThreadFacts = {
      name: thread.name ?? "",
      total: thread.total,
      pending: waiting,
      hiddenBy: countHidden(comments),
      locked: thread.locked !== undefined,
      unverified: unverified.size,
      replies: replies(all.comments),
      fresh: rows.filter(({ fresh: isFresh }) => isFresh).length,
    };
    sections = cutSections(rows, sections);
    tell({ kind: "thread", facts, order: sections.map(({ key }) => key) });
    const before = sent;
    sent = new Map();
    for (const section of sections) {
      const last = before.get(section.key);
      sent.set(section.key, section.rows);
      if (last === undefined || !sameRows(last, section.rows)) tell({ kind: "section", section });
    }
    if (comments.length > 0 || isLive) shownOnce = true;
    // From here on all that comes is news, and the order stays.
    if (isLive && unverified.size === 0) {
      if (!settled) liftsUntil = now() + liftMillis;
      if (!isWholeShown) setTimeout(hear, liftMillis);
      settled = isWholeShown = true;
    }
    drawnSize = Math.max(here.length, minDrawn);
    drawnAt = now();
    keepNow();
  }

  /** While a thread is loading, what comes after all that is shown moves nothing: it need not wait. Whether there is any. */
  function letEndIn(thread: Thread, all: Thread): boolean {
    const shown = new Set(thread.comments.map(({ id }) => id));
    let last = all.comments.length - 1;
    while (last >= 0 && !shown.has((all.comments[last] as Comment).id)) last--;
    const end = all.comments.slice(last + 1);
    for (const { id } of end) pending.delete(id);
    return end.length > 0;
  }

  /** Once the reader reads, top-level comments keep their places: a vote must not move what he reads. */
  function inOrder(comments: readonly Comment[]): readonly Comment[] {
    const branches: Comment[][] = [];
    for (const comment of comments) {
      if (comment.depth === 0) branches.push([comment]);
      else branches[branches.length - 1]?.push(comment);
    }
    const topOf = (branch: readonly Comment[]): Hash => (branch[0] as Comment).id;
    if (settled && topOrder !== undefined) {
      const places = new Map(topOrder.map((id, i) => [id, i]));
      // New ones go where they are looked for: at the end of what is read oldest first, else at the beginning.
      const none = reading.order === "oldest" ? Number.POSITIVE_INFINITY : -1;
      const lifts = now() < liftsUntil;
      const at = (branch: readonly Comment[]): number => (lifts && isPinned(branch[0] as Comment) ? Number.NEGATIVE_INFINITY : (places.get(topOf(branch)) ?? none));
      branches.sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
    }
    topOrder = branches.map(topOf);
    return branches.flat();
  }

  const isPinned = ({ pinned, hidden, deleted }: Comment): boolean => pinned !== undefined && hidden === undefined && deleted !== true;

  const isMuted = ({ key }: Comment): boolean => key !== undefined && reading.muted.includes(key) && !reading.mine.includes(key);

  function hiddenBy(comment: Comment): number | "muted" | undefined {
    if (isMuted(comment)) return "muted";
    const [list] = comment.hidden ?? [];
    return list === undefined ? undefined : reading.lists.findIndex(({ topic }) => topic === list);
  }

  function countHidden(comments: readonly Comment[]): number[] {
    const counts = new Array<number>(reading.lists.length + 1).fill(0);
    for (const comment of comments) {
      const why = hiddenBy(comment);
      if (why !== undefined) {
        const at = why === "muted" ? reading.lists.length : why;
        counts[at] = (counts[at] ?? 0) + 1;
      }
    }
    return counts;
  }

  function toRows(comments: readonly Comment[]): Row[] {
    const votes = ownVotes();
    const names = new Map<Hash, string>();
    const keysOf = new Map<string, Set<string>>();
    const byId = new Map<Hash, Comment>();
    for (const comment of comments) {
      byId.set(comment.id, comment);
      const name = comment.user === undefined ? "" : shownName(comment.user);
      names.set(comment.id, name);
      if (name === "" || comment.key === undefined) continue;
      const folded = name.toLowerCase();
      const keys = keysOf.get(folded) ?? new Set();
      keysOf.set(folded, keys.add(comment.key));
    }
    const rows: Row[] = [];
    for (const comment of comments) {
      const { id, key, date, depth, body, score, replies, parent } = comment;
      const row: { -readonly [name in keyof Row]: Row[name] } = {
        id, depth, body, up: score.up, down: score.down, replies, shown: comment.edited?.id ?? id,
      };
      const why = hiddenBy(comment);
      if (why !== undefined && !reading.showHidden) {
        // A hidden comment keeps its place only for the sake of what is read below it.
        if (replies === 0) continue;
        row.body = "";
      }
      if (why !== undefined) row.hidden = why;
      const name = names.get(id) as string;
      if (name !== "") row.user = name;
      if (key !== undefined) {
        row.key = key;
        if (name !== "" && (keysOf.get(name.toLowerCase())?.size ?? 0) > 1) row.clash = true;
        if (reading.mine.includes(key)) row.mine = true;
      } else if (comment.deleted !== true) row.plain = true;
      if (date !== undefined) row.date = date;
      if (comment.edited !== undefined) row.edited = comment.edited.date ?? "";
      if (comment.deleted === true) row.deleted = true;
      const vote = [id, ...(comment.aliases ?? [])].map((each) => votes.get(each)).find((each) => each !== undefined);
      if (vote !== undefined) row.vote = vote;
      if (parent !== undefined) {
        row.parent = parent;
        const answered = byId.get(parent);
        const to = answered === undefined ? "" : (names.get(parent) ?? "") || (answered.key?.slice(0, 12) ?? "");
        if (to !== "") row.to = to;
      }
      if (comment.missing === true) row.missing = true;
      if (comment.pinned !== undefined) row.pinned = true;
      if (comment.locked !== undefined) row.locked = true;
      if (fresh.has(id) && row.mine !== true) row.fresh = true;
      rows.push(row);
    }
    return rows;
  }

  function keepNow(): void {
    // What was removed is dropped from what is kept, and not only from what is shown.
    const removed = removeDeleted();
    if (removed) {
      kept = documents.size;
      toKeep = [];
      keepFiles([...documents.values()].filter(({ id }) => !held.has(id)).map(({ bytes }) => bytes), true);
    } else if (toKeep.length > 0 && (unverified.size === 0 || (!isAll() && documents.size > 2 * kept))) {
      kept = documents.size;
      keepFiles(toKeep, false);
      toKeep = [];
    }
    if (folderId !== undefined && isWhole && unverified.size === 0 && toKeep.length === 0) {
      keepFolder(folderId, documents.size - held.size);
      folderId = undefined;
    }
  }

  /** Takes from memory what its author removed. The fold would leave it out anyway. */
  function removeDeleted(): boolean {
    const words = new Set<string>();
    for (const document of documents.values()) {
      if (kindOf(document) === "delete" && !held.has(document.id)) words.add(`${document.signed?.key} ${targetOf(document)}`);
    }
    if (words.size === 0) return false;
    let removed = false;
    for (const document of [...documents.values()]) {
      const key = document.signed?.key;
      const kind = kindOf(document);
      if (key === undefined || kind === "delete") continue;
      if (words.has(`${key} ${document.id}`) || (kind === "edit" && words.has(`${key} ${targetOf(document)}`))) {
        documents.delete(document.id);
        removed = true;
      }
    }
    return removed;
  }
  return {
    place,
    async restore(files, wasHere, folder, least = 0) {
      visited = wasHere;
      for (const bytes of files) {
        const parsed = await parse(bytes, place);
        if (parsed === undefined) continue;
        seen.add(parsed.document.id);
        enter(parsed.document, "restored");
      }
      kept = documents.size;
      if (kept > 0) isEarly = false;
      // A tab that was closed while it wrote, or another one that wrote meanwhile, may have cost some: they are brought again.
      tell({ kind: "held", ids: [...documents.keys()], folder: kept < least ? "" : folder });
      if (documents.size > 0) draw();
    },
    async files(files, server, list, ids = []) {
      const where = list ?? place;
      const source = given.get(server) ?? { files: 0, bytes: 0 };
      given.set(server, source);
      cameAt = now();
      let plain = false;
      for (const [i, bytes] of files.entries()) {
        source.files++;
        source.bytes += bytes.length;
        if (source.files > maxSourceFiles || source.bytes > maxSourceBytes) {
          isWhole = false;
          break;
        }
        const parsed = await parse(bytes, where, ids[i]);
        if (parsed === undefined) continue;
        const { document, claim } = parsed;
        if (seen.has(document.id)) continue;
        seen.add(document.id);
        if (claim !== undefined) unverified.set(document.id, { document, claim, news: isLive });
        else {
          enter(document, isLive ? "news" : "came");
          plain = true;
        }
      }
      lend();
      if (unverified.size > 0 || plain) wake();
    },
    async own(bytes, list) {
      const parsed = await parse(bytes, list ?? place);
      if (parsed === undefined) return;
      seen.add(parsed.document.id);
      enter(parsed.document, "own");
      draw();
    },
    undo(id) {
      documents.delete(id);
      listDocuments.delete(id);
      seen.delete(id);
      held.delete(id);
      draw();
    },
    sent(id) {
      const document = documents.get(id);
      if (!held.delete(id) || document === undefined) return;
      toKeep.push(document.bytes);
      if (unverified.size === 0) keepNow();
    },
    read(next) {
      // Who the reader is comes from what is kept: most often that is nobody, as before.
      if (JSON.stringify(next) === JSON.stringify(reading)) return;
      const sorted = next.order !== reading.order;
      reading = next;
      if (sorted) {
        topOrder = undefined;
        sections = [];
      }
      draw();
    },
    settle() {
      settled = true;
      liftsUntil = 0;
      // What comes after the rows that he sees.
      if (isEarly && shownOnce && pumping === undefined) drawAll();
      isEarly = false;
    },
    live() {
      isLive = true;
      isEarly = false;
      if (pumping === undefined) {
        if (unverified.size > 0) wake();
        else draw();
      }
    },
    folder(id) {
      folderId = id;
      isEarly = false;
      if (pumping !== undefined) return;
      if (firstTimer === undefined) return keepNow();
      // All that one server has is here, so nothing more is waited for.
      clearTimeout(firstTimer);
      firstTimer = undefined;
      wake();
    },
    apply() {
      pending.clear();
      draw();
    },
    filters: () => filters,
    close() {
      closed = true;
      clearTimeout(firstTimer);
      clearTimeout(drawTimer);
      keepNow();
    },
  };
}

/** Whether two lists of rows show the same. All that rows have is plain. */
export function sameRows(a: readonly Row[], b: readonly Row[]): boolean {
  return a.length === b.length && a.every((row, i) => sameRow(row, b[i] as Row));
}

function sameRow(a: Row, b: Row): boolean {
  const names = Object.keys(a) as (keyof Row)[];
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Delegates of one list that are followed. */
export const maxDelegates = 16;

/**
 * Cuts rows into sections. Sections keep the rows at which they began, so that a new comment changes the section that
 * it stands in and no other.
 */
export function cutSections(rows: readonly Row[], before: readonly Section[]): Section[] {
  const starts = new Set(before.map(({ key }) => key));
  const sections: { key: string; rows: Row[] }[] = [];
  let current: { key: string; rows: Row[] } | undefined;
  for (const row of rows) {
    const full = current !== undefined && current.rows.length >= (before.length === 0 ? sectionSize : maxSection);
    if (current === undefined || full || starts.has(row.id)) {
      current = { key: row.id, rows: [] };
      sections.push(current);
    }
    current.rows.push(row);
  }
  return sections;
}
