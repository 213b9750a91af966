// The fold: what people see of a topic, a function of its documents, the filters a reader chose, the time and an
// order. SPEC.md, section 9. The order of the documents does not matter, nor whether the bytes of what was deleted are
// still there. Nothing here is recursive: a stranger can make a thread of any depth.

import { toHex, utf8 } from "./bytes.ts";
import { bodyText, type Document } from "./document.ts";
import { bans, type Filter, filterWord, hides } from "./filter.ts";
import { compare, type Hash, type Place } from "./hash.ts";
import { kindOf, nameOf, parentOf, targetOf, userOf, voteOf, workOf } from "./kinds.ts";
import { isNewer, living } from "./living.ts";
import { byOldest, type Order, orders } from "./sort.ts";
import { voteWork } from "./work.ts";

/** A comment of a thread; what is absent is empty. */
export interface Comment {
  readonly id: Hash;
  readonly aliases?: readonly Hash[];
  readonly key?: string;
  /** As its author wrote it: to be cleaned before it is shown. */
  readonly user?: string;
  readonly date?: string;
  readonly body: string;
  readonly edited?: { readonly id: Hash; readonly date?: string };
  readonly deleted?: true;
  readonly score: { readonly up: number; readonly down: number };
  readonly parent?: Hash;
  /** The parent is not known: it may come. */
  readonly missing?: true;
  readonly depth: number;
  /** At any depth below, those that are neither deleted nor hidden. */
  readonly replies: number;
  /** The topics of the filters' lists that mark it. */
  readonly hidden?: readonly Hash[];
  readonly pinned?: readonly Hash[];
  readonly locked?: readonly Hash[];
}

export interface Thread {
  /** The topic's name in clear, if a document proves it. */
  readonly name?: string;
  /** The topics of the lists that lock all of it. */
  readonly locked?: readonly Hash[];
  /** Comments that are neither deleted nor hidden. */
  readonly total: number;
  /** In reading order: each is followed by what is below it, one deeper. */
  readonly comments: readonly Comment[];
}

/** A comment while the thread is made. */
interface Node {
  id: Hash;
  aliases: Hash[];
  /** Absent of a deleted comment. */
  readonly document: Document | undefined;
  readonly date: string | undefined;
  edit?: Document;
  score: { up: number; down: number };
  /** What the Parent header says: of the comment, or of the delete that stands for it. */
  readonly parentId: Hash | undefined;
  parent?: Node;
  missing?: true;
  children: Node[];
  depth: number;
  replies: number;
  // The filters that mark it, by their numbers.
  readonly hidden: number[];
  readonly pinned: number[];
  locked: number[];
}

/** The thread of a place. now: milliseconds since 1970. */
export function fold(place: Place, documents: Iterable<Document>, filters: readonly Filter[], now: number, order: Order): Thread {
  const { documents: left, deletes } = living(place, documents, now);
  const { nodes, byId } = gather(left);
  applyEdits(left, byId);
  applyVotes(left, byId, filters);
  const all = findParents(nodes, byId, new Set(left.map(({ id }) => id)), deletes);
  cutCycles(all);
  const needed = keepNeeded(all);
  const top = hangUp(needed);
  for (const node of needed) mark(node, filters);
  passDownAndUp(top);
  const sorted = readingOrder(top, order);

  const locked = filters.filter((filter) => filterWord(filter, "lock", [place.topic]) === true);
  const name = topicName(left);
  return {
    ...(name !== undefined ? { name } : {}),
    ...(locked.length > 0 ? { locked: locked.map(({ list }) => list.topic) } : {}),
    total: sorted.filter(counts).length,
    comments: sorted.map((node) => finish(node, filters)),
  };
}

/** words: the document whose Parent and Date the node has; of a deleted comment the delete. */
function newNode(id: Hash, document: Document | undefined, words: Document): Node {
  return {
    id, document, date: words.signed?.date, parentId: parentOf(words), aliases: [], score: { up: 0, down: 0 },
    children: [], depth: 0, replies: 0, hidden: [], pinned: [], locked: [],
  };
}

/** Neither deleted nor hidden. */
function counts(node: Node): boolean {
  return node.document !== undefined && node.hidden.length === 0;
}

/** One node for each act; byId has aliases too. */
function gather(documents: readonly Document[]): { nodes: Node[]; byId: Map<Hash, Node> } {
  const acts = new Map<string, Document[]>();
  for (const document of documents) {
    if (kindOf(document) !== "comment") continue;
    const act = document.signed?.act ?? document.id;
    const files = acts.get(act);
    if (files === undefined) acts.set(act, [document]);
    else files.push(document);
  }
  const byId = new Map<Hash, Node>();
  const nodes: Node[] = [];
  for (const files of acts.values()) {
    const [first, ...others] = files.sort((a, b) => compare(a.id, b.id));
    if (first === undefined) continue;
    const node = newNode(first.id, first, first);
    node.aliases = others.map(({ id }) => id);
    nodes.push(node);
    for (const { id } of files) byId.set(id, node);
  }
  return { nodes, byId };
}

function applyEdits(documents: readonly Document[], byId: ReadonlyMap<Hash, Node>): void {
  for (const document of documents) {
    const target = kindOf(document) === "edit" ? targetOf(document) : undefined;
    const node = target === undefined ? undefined : byId.get(target);
    if (node === undefined || node.document?.signed?.key !== document.signed?.key) continue;
    if (node.edit === undefined || isNewer(document, node.edit)) node.edit = document;
  }
}

function applyVotes(documents: readonly Document[], byId: ReadonlyMap<Hash, Node>, filters: readonly Filter[]): void {
  // The newest vote of each key on each comment; a vote that does not count takes no other's place.
  const newest = new Map<Node, Map<string, Document>>();
  for (const document of documents) {
    const target = voteOf(document) === undefined ? undefined : targetOf(document);
    const node = target === undefined ? undefined : byId.get(target);
    const key = document.signed?.key;
    if (node === undefined || key === undefined || node.document?.signed?.key === key || workOf(document) < voteWork) continue;
    const votes = newest.get(node) ?? new Map<string, Document>();
    newest.set(node, votes);
    const other = votes.get(key);
    if (other === undefined || isNewer(document, other)) votes.set(key, document);
  }
  for (const [node, votes] of newest) {
    for (const [key, document] of votes) {
      const vote = voteOf(document);
      if (vote === "none" || vote === undefined || filters.some((filter) => bans(filter, key))) continue;
      node.score[vote]++;
    }
  }
}

/** All nodes with their parents, deleted comments that are referred to among them. */
function findParents(
  nodes: readonly Node[],
  byId: ReadonlyMap<Hash, Node>,
  livingIds: ReadonlySet<Hash>,
  deletes: ReadonlyMap<Hash, Document>,
): Node[] {
  const all = [...nodes];
  const deleted = new Map<Hash, Node>();
  // all grows while it is walked: deleted comments have parents too.
  for (const node of all) {
    const id = node.parentId;
    if (id === undefined) continue;
    let parent = byId.get(id) ?? deleted.get(id);
    const words = livingIds.has(id) ? undefined : deletes.get(id);
    if (parent === undefined && words !== undefined) {
      parent = newNode(id, undefined, words);
      deleted.set(id, parent);
      all.push(parent);
    }
    if (parent === undefined) node.missing = true;
    else node.parent = parent;
  }
  return all;
}

/** Deletes can say parents that form a cycle: one of each stands at top level. */
function cutCycles(nodes: readonly Node[]): void {
  // The walk in which a node was first met. A walk that meets itself has found a cycle.
  const walks = new Map<Node, number>();
  nodes.forEach((start, walk) => {
    let node: Node | undefined = start;
    while (node !== undefined && !walks.has(node)) {
      walks.set(node, walk);
      node = node.parent;
    }
    if (node === undefined || walks.get(node) !== walk) return;
    const cycle = [node];
    for (let next = node.parent; next !== undefined && next !== node; next = next.parent) cycle.push(next);
    const isDeleted = cycle.filter(({ document }) => document === undefined);
    const [cut] = (isDeleted.length > 0 ? isDeleted : cycle).sort((a, b) => compare(a.id, b.id));
    delete cut?.parent;
  });
}

/** Without deleted comments that nothing living stands under. */
function keepNeeded(nodes: readonly Node[]): Node[] {
  const kept = new Set<Node>();
  for (const node of nodes) {
    if (node.document === undefined) continue;
    for (let each: Node | undefined = node; each !== undefined && !kept.has(each); each = each.parent) kept.add(each);
  }
  return [...kept];
}

/** Hangs nodes under their parents and returns those without one. */
function hangUp(nodes: readonly Node[]): Node[] {
  for (const node of nodes) node.parent?.children.push(node);
  return nodes.filter(({ parent }) => parent === undefined);
}

function mark(node: Node, filters: readonly Filter[]): void {
  const ids = [node.id, ...node.aliases];
  filters.forEach((filter, n) => {
    if (hides(filter, ids, node.document?.signed?.key)) node.hidden.push(n);
    if (filterWord(filter, "pin", ids) === true) node.pinned.push(n);
    if (filterWord(filter, "lock", ids) === true) node.locked.push(n);
  });
}

/** Counts what is below each node, and lets locks hold there too. */
function passDownAndUp(top: readonly Node[]): void {
  const all = [...top];
  // all grows while it is walked; parents come before what is below them.
  for (const node of all) {
    for (const child of node.children) {
      if (node.locked.length > 0) child.locked = [...new Set([...node.locked, ...child.locked])].sort((a, b) => a - b);
      child.depth = node.depth + 1;
      all.push(child);
    }
  }
  for (const node of all.reverse()) {
    if (node.parent !== undefined) node.parent.replies += node.replies + (counts(node) ? 1 : 0);
  }
}

/** Each node followed by what is below it. */
function readingOrder(top: readonly Node[], order: Order): Node[] {
  const isLifted = (node: Node): boolean => node.pinned.length > 0 && counts(node);
  // The stack's end is what comes next, so all is pushed from last to first.
  const stack = [...top].sort((a, b) => Number(isLifted(b)) - Number(isLifted(a)) || orders[order](a, b)).reverse();
  const sorted: Node[] = [];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    sorted.push(node);
    for (const child of node.children.sort(byOldest).reverse()) stack.push(child);
  }
  return sorted;
}

/** The smallest name that a living document proves. */
function topicName(documents: readonly Document[]): string | undefined {
  // Most documents that say a name say the same one, and proving it costs a hash.
  const tried = new Set<string>();
  const proven: string[] = [];
  for (const document of documents) {
    const said = document.signed?.headers.get("Name");
    if (said === undefined || tried.has(said)) continue;
    tried.add(said);
    const name = nameOf(document);
    if (name !== undefined) proven.push(name);
  }
  // In the order of the bytes of UTF-8, which is not that of UTF-16.
  return proven.sort((a, b) => compare(toHex(utf8(a)), toHex(utf8(b))))[0];
}

/** What a thread shows of a node. Assigned one by one: of 100,000 comments, spreading objects is most of the work. */
function finish(node: Node, filters: readonly Filter[]): Comment {
  const { document, edit, date, score, depth, replies } = node;
  const shown = edit ?? document;
  const comment: { -readonly [name in keyof Comment]: Comment[name] } = {
    id: node.id, body: shown === undefined ? "" : bodyText(shown), score, depth, replies,
  };
  const marks = (numbers: readonly number[]): Hash[] => numbers.map((n) => (filters[n] as Filter).list.topic);
  if (node.aliases.length > 0) comment.aliases = node.aliases;
  if (document === undefined) comment.deleted = true;
  else if (document.signed !== undefined) {
    comment.key = document.signed.key;
    const user = userOf(document);
    if (user !== undefined) comment.user = user;
  }
  if (date !== undefined) comment.date = date;
  if (edit !== undefined) comment.edited = edit.signed?.date === undefined ? { id: edit.id } : { id: edit.id, date: edit.signed.date };
  const parent = node.missing === true ? node.parentId : node.parent?.id;
  if (parent !== undefined) comment.parent = parent;
  if (node.missing === true) comment.missing = true;
  if (node.hidden.length > 0) comment.hidden = marks(node.hidden);
  if (node.pinned.length > 0) comment.pinned = marks(node.pinned);
  if (node.locked.length > 0) comment.locked = marks(node.locked);
  return comment;
}
