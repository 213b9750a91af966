// What the buttons of a comment do, but reading: votes, deletes, and the menu.

import type { VNode } from "preact";
import { shared } from "../gateway.ts";
import type { Yes } from "../protocol/kinds.ts";
import { writeRoute } from "../route.ts";
import { mute } from "../state/choices.ts";
import { composing } from "../state/composing.ts";
import { isHidden, wordOf } from "../state/lists.ts";
import { muted } from "../state/me.ts";
import { listIn, loaded, makeList, mine, noteOf, openOwn, ownTag, say, writeOn } from "../state/moderate.ts";
import { route, servers, tell } from "../state/page.ts";
import type { Topic } from "../state/topic.ts";
import { ownerOf, remove, undoRemove, vote } from "../state/write.ts";
import { comment as commentText } from "../strings/en.ts";
import { away, compose, lists, menu as t, report } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import type { Row } from "../workers/messages.ts";
import { toggleCollapsed } from "./besides.ts";
import { render } from "./draw.ts";
import { Dialog, Shown } from "./forms.tsx";
import { goTo } from "./thread.tsx";

export function act(topic: Topic, what: string, row: Row, element: HTMLElement): void {
  switch (what) {
    case "up":
    case "down":
      void cast(topic, row, what, element);
      return;
    case "undo":
      void undoRemove(topic, row.id).then(() => goTo(row.id));
      return;
    case "more":
      void openMenu(topic, row, element);
      return;
  }
}

/** The arrow is pressed at once; the score follows when the vote is paid for. */
async function cast(topic: Topic, row: Row, what: "up" | "down", element: HTMLElement): Promise<void> {
  if (row.mine || row.hidden !== undefined || element.getAttribute("aria-busy") === "true") return;
  const say = row.vote === what ? "none" : what;
  const pressed = element.getAttribute("aria-pressed");
  element.setAttribute("aria-busy", "true");
  element.setAttribute("aria-pressed", String(say !== "none"));
  const done = await vote(topic, row, say, () => undefined).catch(() => false);
  element.removeAttribute("aria-busy");
  if (!done && pressed !== null) element.setAttribute("aria-pressed", pressed);
  if (!done) tell({ text: compose.voteFailed, lasts: 6000 });
}

/** Without an act it is what those below it are of. */
interface Item {
  readonly label: string;
  readonly act?: () => void;
}

function itemsOf(topic: Topic, row: Row): Item[] {
  const items: Item[] = [{ label: t.link, act: () => void copyLink(row) }];
  const add = (when: boolean, label: string, does: () => void): void => {
    if (when) items.push({ label, act: does });
  };
  const owner = ownerOf(row);
  add(row.parent !== undefined && row.missing !== true, t.parent, () => void goTo(row.parent as Row["id"]));
  add(true, t.collapse, () => toggleCollapsed(topic, row.id, true));
  add(owner !== undefined && !shared, t.edit, () => (composing.value = { kind: "edit", row }));
  add(owner !== undefined && !shared, t.remove, () => {
    void remove(topic, row, () => tell({ text: compose.deleteFailed, lasts: 6000 })).catch(() => tell({ text: compose.failed, lasts: 6000 }));
    requestAnimationFrame(() => document.querySelector<HTMLElement>(`#c-${CSS.escape(row.id)} [data-act=undo]`)?.focus());
  });
  const { key } = row;
  if (owner === undefined && key !== undefined) {
    const isMuted = muted.peek().includes(key);
    add(true, isMuted ? t.unmute : t.mute, () => {
      mute(key, !isMuted);
      if (!isMuted) tell({ text: t.muted, action: { label: commentText.undo, act: () => mute(key, false) }, lasts: 8000 });
    });
  }
  const said = shared ? [] : acts(topic, row);
  // What is done on a list stands together, below all else.
  if (said.length === 1) items.push(...said.splice(0));
  add(owner === undefined, t.report, () => openReport(row));
  return [...items, ...said];
}

/** What can be said of a comment on the reader's list, if he keeps one. */
function acts(topic: Topic, row: Row): Item[] {
  const { community, topic: whole } = topic.place;
  const { id, key } = row;
  const list = listIn(community);
  const note = { place: topic.place, text: noteOf(row) };
  if (list === undefined) {
    return row.mine || row.hidden !== undefined ? [] : [{
      label: t.hide, act: () => void makeList(community, ownTag).then((made) => made && say(made, [{ about: "hide", yes: true, thing: id, note }])),
    }];
  }
  const view = openOwn(list).view.value;
  const one = (about: Yes, is: boolean | undefined, thing: string, of = (verb: string): string => verb, said = note): Item => ({
    label: of(lists.verbs[about][is === true ? 0 : 1]), act: () => void say(list, [{ about, yes: is !== true, thing, note: said }]),
  });
  return [
    { label: shownName(list.tag) },
    one("hide", isHidden(view, id, key), id),
    one("pin", wordOf(view, "pin", id), id),
    one("lock", wordOf(view, "lock", id), id),
    one("lock", wordOf(view, "lock", whole), whole, lists.ofTopic, { ...note, text: topic.name.peek() }),
    ...(key === undefined || ownerOf(row) !== undefined ? [] : [one("ban", wordOf(view, "ban", key), key, lists.ofAuthor, { ...note, text: row.user ?? "" })]),
    // Another list of his is the one that is written on from then on.
    ...mine.value.filter((each) => each !== list && each.place.community === community).map((each) => ({ label: lists.writeOn(shownName(each.tag)), act: () => writeOn(each) })),
  ];
}

function linkOf(row: Row): string {
  const here = route.peek();
  return here.screen === "thread" ? new URL(writeRoute({ ...here, comment: row.id }), location.href).href : location.href;
}

async function copyLink(row: Row): Promise<void> {
  const link = linkOf(row);
  try {
    await navigator.clipboard.writeText(link);
    tell({ text: t.copied, lasts: 3000 });
  } catch {
    // An http:// address has no clipboard: the link is shown where links can be copied.
    location.hash = new URL(link).hash;
    tell({ text: t.copyFailed, lasts: 8000 });
  }
}

/** Draws what lies over the page, in its landmark, until it is closed. */
function over(draw: (close: () => void) => VNode): void {
  const place = document.createElement("div");
  (document.getElementById("main") ?? document.body).append(place);
  render(draw(() => {
    render(null, place);
    place.remove();
  }), place);
}

async function openMenu(topic: Topic, row: Row, button: HTMLElement): Promise<void> {
  await loaded;
  // It is what gets the focus back.
  button.focus();
  over((close) => <Menu topic={topic} row={row} button={button} close={close} />);
}

interface MenuProps {
  readonly topic: Topic;
  readonly row: Row;
  readonly button: Element;
  readonly close: () => void;
}

function Menu({ topic, row, button, close }: MenuProps): VNode {
  /** Below its button, or above where there is no room. */
  function place(box: HTMLDialogElement): void {
    const { left, right, bottom, top } = button.getBoundingClientRect();
    const { offsetWidth, offsetHeight, style } = box;
    const start = document.dir === "rtl" ? right - offsetWidth : left;
    style.left = `${Math.max(8, Math.min(start, innerWidth - offsetWidth - 8))}px`;
    style.top = `${bottom + offsetHeight < innerHeight ? bottom + 4 : Math.max(8, top - offsetHeight - 4)}px`;
    box.querySelector("button")?.focus();
    addEventListener("resize", () => box.close(), { once: true });
  }
  function move(event: KeyboardEvent): void {
    const all = [...(event.currentTarget as Element).querySelectorAll("button")];
    const at = all.indexOf(document.activeElement as HTMLButtonElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all.at(to % all.length)?.focus();
  }
  return (
    <Dialog kind="menu" title={commentText.more} close={close} shown={place}>
      <div role="menu" onKeyDown={move}>
        {itemsOf(topic, row).map(({ label, act: does }, i) => (does === undefined ? <p key={i} class="meta" role="presentation"><bdi>{label}</bdi></p>
          : <button key={i} role="menuitem" onClick={(event) => { event.currentTarget.closest("dialog")?.close(); does(); }}>{label}</button>
        ))}
      </div>
    </Dialog>
  );
}

/** A contact is what a server says: a link to write to if it is one, and else text. */
function contactOf(contact: string, row: Row): VNode {
  const [, to] = /^(mailto:[^?#]+|https:\/\/.+)$/is.exec(contact) ?? [];
  if (to === undefined) return <bdi>{contact}</bdi>;
  const isMail = /^mailto:/i.test(to);
  const href = isMail ? `${to}?subject=${encodeURIComponent(report.subject)}&body=${encodeURIComponent(`${linkOf(row)}\n${row.id}`)}` : to;
  return <a href={href} {...(isMail ? {} : { target: "_blank", rel: "noopener noreferrer nofollow" })}><bdi>{contact.replace(/^mailto:/i, "")}</bdi></a>;
}

/** Tells who decides what servers keep. */
function openReport(row: Row): void {
  const known = servers.peek().filter(({ state }) => state === "working");
  over((close) => (
    <Dialog kind="sheet" title={report.title} close={close}>
      <p>{known.length === 0 ? away.unreachable : report.text}</p>
      <ul class="plain">{known.map(({ id, origin, contact }) => <li key={id}><bdi>{origin ?? id.slice(0, 12)}</bdi>: {contact === "" ? <span class="meta">{report.noContact}</span> : contactOf(contact, row)}</li>)}</ul>
      <p>{report.link}</p>
      <p><Shown label={report.link} value={linkOf(row)} /></p>
    </Dialog>
  ));
}
