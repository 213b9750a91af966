// The desk of a moderator: what is new in the topics that he follows, and his list at hand. All of it goes by keys, which
// Help lists, and by buttons.

import type { VNode } from "preact";
import { placeText } from "../protocol/hash.ts";
import { type DeskRow, openDesk } from "../state/desk.ts";
import { isHidden, openList, type OpenList, wordOf } from "../state/lists.ts";
import { lists as used } from "../state/me.ts";
import { type Act, last, listIn, mine, noteOf, openOwn, say, undoLast } from "../state/moderate.ts";
import { tell } from "../state/page.ts";
import { signal } from "../state/signals.ts";
import { ownerOf } from "../state/write.ts";
import { comment as commentText, page } from "../strings/en.ts";
import { desk as t, lists as listText } from "../strings/en-later.ts";
import { step } from "./besides.ts";
import { body } from "./body.tsx";
import { nameOf } from "./comment.tsx";
import { linkTo, titleOf } from "./forms.tsx";
import { mark, shortKey } from "./mark.tsx";
import { useComputed, useEffect, useMemo, useSignal } from "./component.ts";
import { ago } from "./when.ts";

/** So much of a comment stands on the desk, as it was typed: links show where they lead. */
const maxText = 1500;

/** The lists that are used, as they stand. */
const views = signal<readonly { readonly label: string; readonly list: OpenList }[]>([]);

const viewAt = ({ place }: DeskRow): OpenList["view"]["value"] => {
  const list = listIn(place.community);
  return list === undefined ? undefined : openOwn(list).view.value;
};
const linkOf = ({ place, topic, row }: DeskRow): string => linkTo(place, topic, row.id);
const hidden = (each: DeskRow): boolean => isHidden(viewAt(each), each.row.id, each.row.key);
const banned = (each: DeskRow): boolean => each.row.key !== undefined && wordOf(viewAt(each), "ban", each.row.key) === true;

/** What the lists in use say of a comment already. */
const saysOf = ({ row: { id, key } }: DeskRow): string => views.value.flatMap(({ label, list: { view: { value } } }) => [
  ...(isHidden(value, id, key) ? [commentText.hiddenBy(label)] : []),
  ...(wordOf(value, "pin", id) === true ? [commentText.pinned] : []),
  ...(wordOf(value, "lock", id) === true ? [t.locked] : []),
]).join(" ");

/** Hides comments, or bans their authors; if all are, takes that back. */
function act(about: "hide" | "ban", all: readonly DeskRow[]): void {
  const isBan = about === "ban";
  const some = isBan ? all.filter(({ row }) => row.key !== undefined && ownerOf(row) === undefined) : all;
  if (some.length === 0) return tell({ text: listText.noAuthor, lasts: 4000 });
  const is = isBan ? banned : hidden;
  const yes = !some.every(is);
  // A list for each community, and each thing once.
  for (const community of new Set(some.map(({ place }) => place.community))) {
    const acts = some.filter((each) => each.place.community === community && is(each) !== yes).map(({ place, row }): [string, Act] => {
      const thing = isBan ? (row.key as string) : row.id;
      return [thing, { about, yes, thing, note: { place, text: isBan ? (row.user ?? "") : noteOf(row) } }];
    });
    const list = listIn(community);
    if (list === undefined) tell({ text: listText.noList, lasts: 8000 });
    else void say(list, [...new Map(acts).values()]);
  }
}

export function Desk(): VNode {
  const desk = useMemo(openDesk, []);
  const selected = useSignal<ReadonlySet<string>>(new Set<string>());
  const from = useSignal("");
  useEffect(() => () => desk.close(), []);
  useEffect(() => {
    const opened: OpenList[] = [];
    views.value = used.value.map(({ place, label }) => {
      // An own one is open already, and knows at once what is said on it.
      const own = mine.value.find((each) => placeText(each.place) === placeText(place));
      const list = own === undefined ? openList(place) : openOwn(own);
      if (own === undefined) opened.push(list);
      return { label, list };
    });
    return () => {
      views.value = [];
      for (const list of opened) list.close();
    };
  }, [used.value, mine.value]);
  const rows = desk.rows.value;
  const { topics, others, older, busy, cut } = desk.facts.value;
  const chosen = rows.filter(({ name }) => selected.value.has(name));
  const news = rows.filter(({ name }) => !desk.seen.value.has(name)).length;

  // Made once: rows are drawn again only when they change.
  const does = useMemo(() => (about: "hide" | "ban", one?: DeskRow): void => {
    const all = one === undefined ? desk.rows.peek().filter(({ name }) => selected.peek().has(name)) : [one];
    if (all.length === 0) return;
    act(about, all);
    desk.see(all);
  }, []);

  const select = useMemo(() => ({ name }: DeskRow, range: boolean): void => {
    const next = new Set(selected.peek());
    const names = desk.rows.peek().map((each) => each.name);
    const [a, b] = [names.indexOf(from.peek()), names.indexOf(name)];
    if (range && a >= 0) for (const each of names.slice(Math.min(a, b), Math.max(a, b) + 1)) next.add(each);
    else if (!next.delete(name)) next.add(name);
    from.value = name;
    selected.value = next;
  }, []);

  useEffect(() => {
    function onKey(event: KeyboardEvent): void {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
      if (target.matches("textarea, select, input:not([type=checkbox])")) return;
      const article = document.activeElement?.closest("article") ?? null;
      const one = desk.rows.peek().find(({ name }) => name === article?.id);
      const many = selected.peek().size > 0;
      const { key } = event;
      if (key === "Escape") selected.value = new Set();
      else if (key === "j" || key === "k") step(article, key === "j" ? 1 : -1, ".desk article");
      else if (key === "h" || key === "b") does(key === "h" ? "hide" : "ban", many ? undefined : one);
      else if (key === "u") undoLast();
      else if (one === undefined) return;
      else if (key === "x" || key === "X") select(one, key === "X");
      else if (key === "Enter" && target === article) location.hash = linkOf(one);
      else return;
      event.preventDefault();
    }
    // After the page's own keys, of which "g h" is one.
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  return (
    <main id="main" class="desk" tabIndex={-1}>
      <h1>{page.desk}</h1>
      <p class="meta state" role="status">
        {topics === 0 && !busy ? t.none : busy && rows.length === 0 ? listText.reading : t.news(news, topics)}
        {older > 0 && <>, {t.older(older)}</>}{others > 0 && <>. {t.others(others)}</>}{cut && <>. {t.cut}</>}
      </p>
      {mine.value.length === 0 && <p class="state meta"><a href="#you">{listText.noList}</a></p>}
      <div class="line tools" role="toolbar" aria-label={t.tools}>
        {chosen.length > 0 && (
          <>
            <span class="meta">{t.selected(chosen.length)}</span>
            <button onClick={() => does("hide")}>{listText.verbs.hide[chosen.every(hidden) ? 0 : 1]}</button>
            <button onClick={() => does("ban")}>{listText.verbs.ban[chosen.every(banned) ? 0 : 1]}</button>
            <button onClick={() => (selected.value = new Set())}>{t.clear}</button>
          </>
        )}
        {last.value !== undefined && <button onClick={undoLast}>{commentText.undo}</button>}
        {news + older > 0 && <button onClick={() => desk.seeAll()}>{t.seen}</button>}
      </div>
      <div id="comments" tabIndex={-1}>
        {rows.map((each) => (
          <Item key={each.name} each={each} isSeen={desk.seen.value.has(each.name)} isSelected={selected.value.has(each.name)} select={select} does={does} see={desk.see} />
        ))}
      </div>
    </main>
  );
}

function Item({ each, isSeen, isSelected, select, does, see }: {
  readonly each: DeskRow;
  readonly isSeen: boolean;
  readonly isSelected: boolean;
  readonly select: (each: DeskRow, range: boolean) => void;
  readonly does: (about: "hide" | "ban", each: DeskRow) => void;
  readonly see: (rows: readonly DeskRow[]) => void;
}): VNode {
  const { name, place, topic, row } = each;
  // What lists say changes for few rows.
  const [says, isGone, isBanned] = [useComputed(() => saysOf(each)).value, useComputed(() => hidden(each)).value, useComputed(() => banned(each)).value];
  const text = row.body.slice(0, maxText);
  return (
    <article id={name} class={`comment${isSeen ? " seen" : " fresh"}${isGone ? " hidden" : ""}`} tabIndex={-1} aria-labelledby={`n-${name}`} onFocusIn={() => see([each])}>
      <header>
        <input type="checkbox" checked={isSelected} aria-label={t.select(nameOf(row))} onClick={(event) => select(each, event.shiftKey)} />
        {mark(row.key)}
        <span class="name" id={`n-${name}`}><bdi>{nameOf(row)}</bdi></span>
        {row.user !== undefined && row.key !== undefined && <code class="key">{shortKey(row.key)}</code>}
        <span class="meta"><a href={linkOf(each)}><bdi>{titleOf(place, topic)}</bdi></a> · {row.date === undefined ? commentText.undated : ago(Date.parse(row.date))}</span>
        {says !== "" && <span class="meta warn">{says}</span>}
      </header>
      {body(text.length < row.body.length ? `${text}…` : text, undefined)}
      <footer>
        <button onClick={() => does("hide", each)}>{listText.verbs.hide[isGone ? 0 : 1]}</button>
        {row.key !== undefined && <button onClick={() => does("ban", each)}>{listText.verbs.ban[isBanned ? 0 : 1]}</button>}
      </footer>
    </article>
  );
}
