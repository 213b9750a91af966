// The keyboard: what Help lists. Keys with Ctrl, Alt or Meta are the browser's, and so are all while somebody writes.

import type { Hash } from "../protocol/hash.ts";
import { composing } from "../state/composing.ts";
import { current } from "./app.tsx";
import { run, showPending } from "./thread.tsx";

let afterG = 0;
/** "g" and the letter behind it belong together so long. */
const pairMillis = 1500;

export function onKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.defaultPrevented) return;
  const target = event.target as HTMLElement;
  const writes = target.matches("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") {
    escape(target);
    return;
  }
  if (writes || document.querySelector("dialog[open], [role=menu]") !== null) return;
  const second = event.timeStamp - afterG < pairMillis;
  afterG = 0;
  if (second && go(event.key)) return event.preventDefault();
  if (key(event, target)) event.preventDefault();
}

function go(letter: string): boolean {
  const screen = { h: "#/", y: "#you", s: "#search" }[letter];
  if (screen !== undefined) location.hash = screen;
  return screen !== undefined;
}

function key(event: KeyboardEvent, target: HTMLElement): boolean {
  switch (event.key) {
    case "g":
      afterG = event.timeStamp;
      return true;
    case "/":
      location.hash = "#search";
      return true;
    case "?":
      location.hash = "#help";
      return true;
  }
  const topic = current.peek();
  if (topic === undefined) return false;
  const article = target.closest("article");
  switch (event.key) {
    case "j":
    case "k":
      return step(article, event.key === "j" ? 1 : -1, "article.comment");
    case "n":
      return step(article, 1, "article.fresh");
    case "w":
      document.querySelector<HTMLElement>(".composer textarea")?.focus();
      return true;
    case ".":
      showPending(topic);
      return true;
  }
  const act = { r: "reply", c: "collapse", u: "up", d: "down", p: "parent", m: "more" }[event.key];
  if (act === undefined || article === null) return false;
  const button = article.querySelector<HTMLElement>(`[data-act=${act}]`);
  run(topic, act, article.id.slice(2) as Hash, button ?? article);
  return true;
}

/** The focus on the next or the previous of some articles: from the one that has it, or from the top of the window. */
function step(article: Element | null, by: 1 | -1, selector: string): boolean {
  const all = [...document.querySelectorAll<HTMLElement>(selector)];
  const follows = (each: HTMLElement): boolean =>
    article === null ? each.getBoundingClientRect().top >= 48 : (article.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0;
  const precedes = (each: HTMLElement): boolean =>
    article === null ? each.getBoundingClientRect().top < 48 : (article.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_PRECEDING) !== 0;
  const next = by === 1 ? all.find(follows) : all.reverse().find(precedes);
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
  return true;
}

function escape(target: HTMLElement): void {
  // What lies over the page is closed by the browser.
  if (target.closest("dialog") !== null) return;
  if (composing.peek() !== undefined && target.closest(".composer") !== null) composing.value = undefined;
  else target.blur();
}
