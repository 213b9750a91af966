// What readers do besides reading, which comes when there is something to read: buttons and keys, what waits, the lines
// beside comments, dates that go on. Of the keys, which Help lists, those with Ctrl, Alt or Meta are the browser's, and
// so are all while somebody writes.

import { shared } from "../gateway.ts";
import type { Hash } from "../protocol/hash.ts";
import { composing } from "../state/composing.ts";
import { whenIdle } from "../state/idle.ts";
import { loader, net } from "../state/page.ts";
import { effect } from "../state/signals.ts";
import type { Topic } from "../state/topic.ts";
import type { Row } from "../workers/messages.ts";
import { current } from "./app.tsx";
import { goTo } from "./thread.tsx";
import { ago } from "./when.ts";

const actions = loader(() => import("./actions.tsx"));

let afterG = Number.NEGATIVE_INFINITY;
/** "g" and the letter behind it belong together so long. */
const pairMillis = 1500;
/** What says "a minute ago" is to be true. */
const datesMillis = 60_000;

/** The IPFS node comes when all of a thread is shown and the page rests, and goes when the page is hidden for so long. */
const hiddenMillis = 5 * 60_000;

export function begin(): void {
  document.addEventListener("keydown", onKey);
  setInterval(() => refreshDates(Date.now()), datesMillis);
  runNode();
}

function runNode(): void {
  const start = (): void => void whenIdle().then(() => !document.hidden && net.peek()?.useIPFS(true));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = effect(() => {
    // What still comes is more urgent; when no server answers, the network starts it at once.
    if (current.value?.state.value !== "live") return;
    queueMicrotask(() => stop());
    start();
    document.addEventListener("visibilitychange", () => {
      clearTimeout(timer);
      if (document.hidden) timer = setTimeout(() => net.peek()?.useIPFS(false), hiddenMillis);
      else start();
    });
  });
}

/** Where keys lead: those behind a g, and those by themselves. */
const afterGs: Readonly<Record<string, string>> = { h: "#/", y: "#you", s: "#search", d: "#desk" };
const alone: Readonly<Record<string, string>> = { "/": "#search", "?": "#help" };
/** What keys do with the comment that has the focus. */
const acts: Readonly<Record<string, string>> = { r: "reply", c: "collapse", u: "up", d: "down", p: "parent", m: "more" };

function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
  const target = event.target as HTMLElement;
  if (event.key === "Escape") escape(target);
  else if (!target.matches("input, textarea, select, [contenteditable]") && document.querySelector("dialog[open]") === null && key(event, target)) event.preventDefault();
}

function key({ key, timeStamp }: KeyboardEvent, target: HTMLElement): boolean {
  const screen = (timeStamp - afterG < pairMillis && afterGs[key]) || alone[key];
  afterG = key === "g" ? timeStamp : Number.NEGATIVE_INFINITY;
  if (screen !== undefined) location.hash = screen;
  if (screen !== undefined || key === "g") return true;
  const topic = current.peek();
  if (topic === undefined) return false;
  const article = target.closest("article");
  const by = { j: 1, k: -1, n: 1 }[key];
  const act = acts[key];
  if (by !== undefined) step(article, by, key === "n" ? "article.fresh" : "article.comment");
  else if (key === "w") document.querySelector<HTMLElement>(".composer textarea")?.focus();
  else if (key === ".") showPending(topic);
  else if (act === undefined || article === null) return false;
  else run(topic, act, article.id.slice(2) as Hash, article.querySelector<HTMLElement>(`[data-act=${act}]`) ?? article);
  return true;
}

/** The focus on the next or the previous of some articles: from the one that has it, or from the top of the window. */
export function step(article: Element | null, by: number, selector: string): void {
  const all = [...document.querySelectorAll<HTMLElement>(selector)];
  const isBefore = (each: HTMLElement): boolean =>
    article === null ? each.getBoundingClientRect().top < 48 : (article.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_PRECEDING) > 0;
  const next = by < 0 ? all.reverse().find(isBefore) : all.find((each) => each !== article && !isBefore(each));
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

function escape(target: HTMLElement): void {
  // What lies over the page is closed by the browser.
  if (target.closest("dialog") !== null) return;
  if (composing.peek() !== undefined && target.closest(".composer") !== null) composing.value = undefined;
  else target.blur();
}

/** Shows what waits and goes to the first of it. */
export function showPending(topic: Topic): void {
  const before = new Set([...document.querySelectorAll("article.fresh")].map(({ id }) => id));
  topic.apply();
  const stop = effect(() => {
    if (topic.facts.value.pending > 0) return;
    setTimeout(() => {
      stop();
      const first = [...document.querySelectorAll<HTMLElement>("article.fresh")].find(({ id }) => !before.has(id));
      if (first !== undefined) goTo(first.id.slice(2) as Hash);
    }, 60);
  });
}

/** Each line beside a comment belongs to one of those above it: the one that was clicked is collapsed. */
function collapseLine(topic: Topic, row: Row, element: HTMLElement, event: MouseEvent | undefined): void {
  const step = Number.parseFloat(getComputedStyle(element).getPropertyValue("--indent"));
  const last = Math.max(0, Math.round(element.clientWidth / step) - 1);
  const level = Math.min(last, Math.max(0, Math.floor((event?.offsetX ?? 0) / step)));
  // Of those deeper than there are lines, the last line is the parent's.
  const depth = level === last ? row.depth - 1 : level;
  let above: Row | undefined;
  for (const each of allRows(topic)) {
    if (each.id === row.id) break;
    if (each.depth === depth) above = each;
  }
  if (above === undefined) return;
  toggleCollapsed(topic, above.id, true);
  const article = document.getElementById(`c-${above.id}`);
  article?.scrollIntoView({ block: "nearest" });
  article?.focus({ preventScroll: true });
}

/** The rows of a topic in reading order. */
function* allRows(topic: Topic): Generator<Row> {
  for (const section of topic.sections.peek()) for (const { row } of section.rows.peek()) yield row;
}

function rowOf(topic: Topic, id: Hash): Row | undefined {
  for (const row of allRows(topic)) if (row.id === id) return row;
  return undefined;
}

export function toggleCollapsed(topic: Topic, id: Hash, on: boolean): void {
  const next = new Set(topic.collapsed.peek());
  if (on) next.add(id);
  else next.delete(id);
  topic.collapsed.value = next;
}

/** What is not done where nobody writes. */
const writes: readonly string[] = ["reply", "up", "down"];

/** Does what a button or a key asks for. What is not needed to read comes from another file. */
export function run(topic: Topic, act: string, id: Hash, element: HTMLElement, event?: MouseEvent): void {
  const row = rowOf(topic, id);
  if (row === undefined || (shared && writes.includes(act))) return;
  if (act === "expand") toggleCollapsed(topic, id, false);
  else if (act === "collapse") toggleCollapsed(topic, id, !topic.collapsed.peek().has(id));
  else if (act === "line") collapseLine(topic, row, element, event);
  else if (act === "reply") composing.value = { kind: "reply", row };
  else if (act === "parent") row.parent !== undefined && goTo(row.parent);
  else void actions().then((loaded) => loaded?.act(topic, act, row, element));
}

/** Brings the dates on the page up to now; those of far rows are made when these come near. */
function refreshDates(now: number): void {
  for (const { dateTime, firstChild } of document.querySelectorAll<HTMLTimeElement>("time[title]")) {
    const text = ago(Date.parse(dateTime), now);
    if (firstChild !== null && firstChild.nodeValue !== text) firstChild.nodeValue = text;
  }
}
