// One comment as a row. What its buttons do is decided once for the whole thread, by their data-act: thousands of rows
// have no listeners of their own. Nor are their parts components: those cost as much as the nodes that they make.

import type { ComponentChildren, VNode } from "preact";
import { shared } from "../gateway.ts";
import type { DrawnRow } from "../state/topic.ts";
import { comment as t } from "../strings/en.ts";
import { number } from "../strings/spoken.ts";
import type { Row } from "../workers/messages.ts";
import { around } from "./around.tsx";
import { body } from "./body.tsx";
import { render } from "./draw.ts";
import { mark, shortKey } from "./mark.tsx";
import { ago, fullDate } from "./when.ts";

/** Indents at most; what is deeper says whom it answers. */
const maxIndent = 8;
const maxIndentPhone = 4;

export interface Drawing {
  readonly drawn: DrawnRow;
  readonly link: string;
  readonly collapsed: boolean;
  /** An own delete that can be taken back. */
  readonly going: boolean;
  /** Only one of the servers has it. */
  readonly onOne: boolean;
  /** It may soon be seen. Else it goes without what is half of a row's cost, and is in nobody's way: mark, titles, buttons. */
  readonly near: boolean;
  readonly focused: boolean;
  /** The names of the reader's lists, for what they hide. */
  readonly listNames: readonly string[];
  /** What is written below it: an answer, or its edit in the body's place. */
  readonly below?: ComponentChildren;
  readonly editing: boolean;
}

export function nameOf(row: Row): string {
  return row.user ?? (row.key === undefined ? t.unsigned : shortKey(row.key));
}

export function comment({ drawn: { row, tree }, link, collapsed, going, onOne, near, focused, listNames, below, editing }: Drawing): VNode {
  const kind = [
    "comment", `d${Math.min(row.depth, maxIndent)}`, row.fresh && "fresh", row.deleted && "gone", row.hidden !== undefined && "hidden",
    collapsed && "collapsed", focused && "focused",
  ];
  const line = lineOf(row, listNames);
  return (
    <article key={row.id} id={`c-${row.id}`} class={kind.filter(Boolean).join(" ")} tabIndex={-1} aria-labelledby={`n-${row.id}`}>
      {row.depth > 0 && <div class="lines" data-act="line" aria-hidden="true" />}
      {line !== undefined && (collapsed || row.deleted || row.body === "") ? (
        <header>
          <span class="meta" id={`n-${row.id}`}>{line}</span>
          {collapsed && expand(row)}
        </header>
      ) : (
        <>
          <header>
            {near ? mark(row.key) : <span class="mark" />}
            <span class="name" id={`n-${row.id}`}>
              {row.fresh && <span class="sr">{t.fresh} </span>}
              {row.key === undefined ? <span class="meta">{t.unsigned}</span> : row.user === undefined ? <code>{shortKey(row.key)}</code> : <bdi title={near ? t.key(row.key) : undefined}>{row.user}</bdi>}
              {row.to !== undefined && <span class="sr"> {t.answers(row.to)}</span>}
            </span>
            {row.clash && row.key !== undefined && <code class="key">{shortKey(row.key)}</code>}
            <a class="meta time" href={link} data-act="permalink">{when(row.date, near)}</a>
            {row.edited !== undefined && <span class="meta" title={row.edited === "" ? undefined : t.editedAt(fullDate(Date.parse(row.edited)))}>{t.edited}</span>}
            {onOne && <span class="meta">{t.onOne}</span>}
            {row.pinned && <span class="meta">{t.pinned}</span>}
            {row.to !== undefined && row.depth > maxIndentPhone && (
              <a class={row.depth > maxIndent ? "meta to" : "meta to narrow"} href="#" data-act="parent">{around(t.to, <bdi>{row.to}</bdi>)}</a>
            )}
            {collapsed && expand(row)}
          </header>
          {!collapsed && (
            <div class="content">
              {row.missing && <p class="meta">{t.missing}</p>}
              {line !== undefined && <p class="meta">{line}</p>}
              {going ? <p class="meta going" role="status">{t.going} <button class="link" data-act="undo">{t.undo}</button></p>
                : editing ? below : body(row.body, tree)}
              {!going && !editing && (near ? actions(row) : <footer />)}
            </div>
          )}
        </>
      )}
      {!editing && !collapsed && below !== undefined && <div class="below">{below}</div>}
    </article>
  );
}

/** What stands in the place of a comment that is not shown. */
function lineOf(row: Row, listNames: readonly string[]): string | undefined {
  if (row.deleted) return t.deleted;
  if (row.hidden === "muted") return t.muted;
  return row.hidden === undefined ? undefined : t.hiddenBy(listNames[row.hidden] ?? "");
}

function expand(row: Row): VNode {
  return <button class="link expand" data-act="expand">{t.expand(row.replies)}</button>;
}

function when(date: string | undefined, near: boolean): VNode {
  if (date === undefined) return <>{t.undated}</>;
  const millis = Date.parse(date);
  return <time dateTime={date} title={near ? fullDate(millis) : undefined}>{ago(millis)}</time>;
}

/** The buttons that rows have, by what they are: made once, and copied, since they are half of what a row consists of. */
const forms = new Map<string, DocumentFragment>();
/** What was last said in a footer, if not this. An arrow is pressed before its vote is paid for, and stays so meanwhile. */
const said = new WeakMap<HTMLElement, string>();
const unsaid = "0 0 undefined";

function actions(row: Row): VNode {
  const canVote = !shared && row.mine !== true && row.hidden === undefined;
  const canReply = !shared && row.locked !== true;
  // Another form is another element.
  const form = `${canVote}${canReply}`;
  return <footer key={form} ref={(footer) => { if (footer !== null) fill(footer, form, canVote, canReply, row); }} />;
}

function fill(footer: HTMLElement, form: string, canVote: boolean, canReply: boolean, { up, down, vote }: Row): void {
  if (footer.firstChild === null) {
    let made = forms.get(form);
    if (made === undefined) forms.set(form, (made = makeForm(canVote, canReply)));
    footer.append(made.cloneNode(true));
  }
  const says = `${up} ${down} ${vote}`;
  if ((said.get(footer) ?? unsaid) === says) return;
  said.set(footer, says);
  const score = footer.querySelector<HTMLElement>(".score");
  if (score !== null) {
    score.textContent = up + down === 0 ? "" : number(up - down);
    score.title = t.score(up, down);
    score.hidden = !canVote && up + down === 0;
  }
  if (!canVote) return;
  footer.querySelector(".up")?.setAttribute("aria-pressed", String(vote === "up"));
  footer.querySelector(".down")?.setAttribute("aria-pressed", String(vote === "down"));
}

function makeForm(canVote: boolean, canReply: boolean): DocumentFragment {
  const made = document.createDocumentFragment();
  render(
    <>
      {canVote && <button class="vote up" data-act="up" aria-pressed="false" aria-label={t.up} title={t.up} />}
      <span class={canVote ? "score" : "score alone"} title={t.score(0, 0)} hidden={!canVote} />
      {canVote && <button class="vote down" data-act="down" aria-pressed="false" aria-label={t.down} title={t.down} />}
      {canReply && <button data-act="reply">{t.reply}</button>}
      <button class="more" data-act="more" aria-haspopup="menu" aria-label={t.more} title={t.more} />
    </>,
    made,
  );
  return made;
}
