// The screen of a topic: its comments in sections of fifty, drawn slice by slice, and what is said where there are none.

import type { Signal } from "../state/signals.ts";
import type { VNode } from "preact";
import { draftKey, keptDraft } from "../keep/person.ts";
import { shared } from "../gateway.ts";
import { pacer } from "../net/pacer.ts";
import type { Hash } from "../protocol/hash.ts";
import type { Order } from "../protocol/sort.ts";
import { placeOf, type Route, writeRoute } from "../route.ts";
import { composing, notes } from "../state/composing.ts";
import { lists, setOrder } from "../state/me.ts";
import { keeping, loader, online, panel } from "../state/page.ts";
import { type DrawnSection, openTopic, type Topic } from "../state/topic.ts";
import { thread as t } from "../strings/en.ts";
import { isBroken, restarts } from "../workers/pool.ts";
import { current } from "./app.tsx";
import { around } from "./around.tsx";
import { comment } from "./comment.tsx";
import { lazy } from "./lazy.tsx";
import { useComputed, useEffect, useMemo, useRef, useSignal, useSignalEffect } from "./component.ts";
import { Fragment } from "./draw.ts";

const Composer = lazy(async () => (await import("./composer.tsx")).Composer);
const Away = lazy(async () => (await import("./away.tsx")).Away);
const Shared = lazy(async () => (await import("./shared.tsx")).Shared);
const besides = loader(() => import("./besides.ts"));

type ThreadRoute = Extract<Route, { screen: "thread" }>;

/** What far rows may take of a frame: most of it, since each frame costs some by itself. */
const drawMillis = 16;
/** Nothing is said of waiting before. */
const quietMillis = 300;

export function Thread({ route }: { readonly route: ThreadRoute }): VNode {
  const { community, topic: part } = route;
  const topic = useMemo(() => {
    const { place, name } = placeOf({ community, topic: part });
    return openTopic(place, name);
  }, [community, part, restarts.value]);
  useEffect(() => {
    current.value = topic;
    return () => {
      current.value = undefined;
      composing.value = undefined;
      topic.close();
    };
  }, [topic]);
  return <Shown key={`${community}/${part}/${restarts.value}`} topic={topic} route={route} />;
}

function Shown({ topic, route }: { readonly topic: Topic; readonly route: ThreadRoute }): VNode {
  const container = useRef<HTMLElement>(null);
  const mounted = useSignal(1);
  const target = useSignal<Hash | undefined>(route.comment);
  target.value = route.comment;

  // Sections come one after the other, as many in one go as leave the browser its turns.
  const pace = useMemo(() => pacer(drawMillis), []);
  const mounting = useRef(false);
  useSignalEffect(() => {
    if (mounted.value < topic.sections.value.length && topic.drawn.value) void mountMore();
  });
  async function mountMore(): Promise<void> {
    if (mounting.current) return;
    mounting.current = true;
    // The first section is seen before there is more; where nothing is painted nobody waits for that.
    if (mounted.peek() === 1) await new Promise((resolve) => {
      setTimeout(resolve, 100);
      requestAnimationFrame(() => setTimeout(resolve));
    });
    while (mounted.peek() < topic.sections.peek().length) {
      await pace();
      mounted.value++;
      // It is drawn in a microtask, and counts as time that went by.
      await undefined;
    }
    mounting.current = false;
  }

  // The comment that the address names, once it is there.
  const gone = useRef<Hash | undefined>(undefined);
  useSignalEffect(() => {
    const id = target.value;
    const last = topic.sections.value[mounted.value - 1]?.rows.value;
    if (id === undefined || gone.current === id || last === undefined) return;
    requestAnimationFrame(() => {
      if (gone.current !== id && goTo(id)) gone.current = id;
    });
  });

  // Who reads is not to be moved.
  useEffect(() => {
    const settle = (): void => {
      if (topic.drawn.peek() && scrollY > 80) topic.settle();
    };
    addEventListener("scroll", settle, { passive: true });
    return () => removeEventListener("scroll", settle);
  }, [topic]);

  function onClick(event: MouseEvent): void {
    const element = (event.target as Element).closest<HTMLElement>("[data-act]");
    const article = element?.closest("article");
    if (element === null || article === null || article === undefined) return;
    const act = element.dataset["act"] as string;
    // Opening a link in another tab is the browser's.
    if (act === "permalink") return;
    event.preventDefault();
    void besides().then((loaded) => loaded?.run(topic, act, article.id.slice(2) as Hash, element, event));
  }

  const hiddenRows = useComputed(() => rowsUnder(topic.sections.value, topic.collapsed.value)).value;
  // A section's node is made once: the same node again is not looked at again, and there are hundreds.
  const nodes = useMemo(() => new Map<DrawnSection, VNode>(), [hiddenRows, route, topic]);
  const nodeOf = (section: DrawnSection): VNode => {
    const node = nodes.get(section) ?? <SectionView key={section.key} topic={topic} section={section} hiddenRows={hiddenRows} route={route} />;
    nodes.set(section, node);
    return node;
  };
  const locked = topic.facts.value.locked;
  return (
    <main id="main" tabIndex={-1} ref={container} onClick={onClick}>
      <Head topic={topic} />
      {shared ? <Shared link={writeRoute(route)} /> : !locked && <TopicComposer topic={topic} />}
      <State topic={topic} />
      <Hidden topic={topic} />
      <div class="comments" id="comments" tabIndex={-1}>
        <Sections topic={topic} mounted={mounted} nodeOf={nodeOf} />
      </div>
      <Pill topic={topic} />
    </main>
  );
}

/** Drawn by itself, so that a section more draws nothing else. */
function Sections({ topic, mounted, nodeOf }: { readonly topic: Topic; readonly mounted: Signal<number>; readonly nodeOf: (section: DrawnSection) => VNode }): VNode {
  return <>{topic.sections.value.slice(0, mounted.value).map(nodeOf)}</>;
}

const nothing: ReadonlySet<Hash> = new Set();

/** All rows below one that is collapsed. */
function rowsUnder(sections: readonly DrawnSection[], collapsed: ReadonlySet<Hash>): ReadonlySet<Hash> {
  if (collapsed.size === 0) return nothing;
  const under = new Set<Hash>();
  let limit = Number.POSITIVE_INFINITY;
  for (const { rows } of sections) {
    for (const { row } of rows.value) {
      if (row.depth <= limit) limit = Number.POSITIVE_INFINITY;
      if (limit !== Number.POSITIVE_INFINITY) under.add(row.id);
      else if (collapsed.has(row.id)) limit = row.depth;
    }
  }
  return under;
}

function SectionView({ topic, section, hiddenRows, route }: {
  readonly topic: Topic;
  readonly section: DrawnSection;
  readonly hiddenRows: ReadonlySet<Hash>;
  readonly route: ThreadRoute;
}): VNode | null {
  // Each of these changes for few sections, and only those are drawn again.
  const writing = useComputed(() => {
    const now = composing.value;
    return now !== undefined && section.rows.value.some(({ row }) => row.id === now.row.id) ? now : undefined;
  });
  const collapsed = useComputed(() => section.rows.value.filter(({ row }) => topic.collapsed.value.has(row.id)).map(({ row }) => row.id).join());
  const going = useComputed(() => section.rows.value.filter(({ row }) => topic.going.value.has(row.id)).map(({ row }) => row.id).join());
  const alone = useComputed(() => section.rows.value.filter(({ row }) => topic.onOne.value.has(row.id)).map(({ row }) => row.id).join());
  const noted = useComputed(() => section.rows.value.filter(({ row }) => notes.value.has(row.shown)).map(({ row }) => row.shown).join());
  const rows = section.rows.value.filter(({ row }) => !hiddenRows.has(row.id));
  // The first is what is looked at first.
  const near = useSignal(topic.sections.peek()[0] === section);
  const place = useRef<HTMLElement>(null);
  const isThere = rows.length > 0;
  useEffect(() => (isThere && !near.peek() ? whenNear(place.current as HTMLElement, () => (near.value = true)) : undefined), [isThere]);
  const labels = lists.value.map(({ label }) => label);
  const key = [rows, writing.value, collapsed.value, going.value, alone.value, noted.value, route.comment, near.value, labels] as const;
  const drawn = useMemo(() => {
    const shut = collapsed.value.split(",");
    const leaving = going.value.split(",");
    const single = alone.value.split(",");
    return rows.map((each) => {
      const { row } = each;
      const write = writing.value?.row.id === row.id ? writing.value : undefined;
      return comment({
        drawn: each,
        link: writeRoute({ ...route, comment: row.id }),
        collapsed: shut.includes(row.id),
        going: leaving.includes(row.id),
        onOne: single.includes(row.id),
        near: near.value,
        focused: route.comment === row.id,
        listNames: labels,
        editing: write?.kind === "edit",
        below: write === undefined ? notes.peek().get(row.shown) : <Composer topic={topic} about={write} />,
      });
    });
  }, [section.rows.value, hiddenRows, ...key.slice(1)]);
  return drawn.length === 0 ? null : <section class="part" ref={place}>{drawn}</section>;
}

const coming = new WeakMap<Element, () => void>();
let observer: IntersectionObserver | undefined;

/** Calls once an element is so near that it may be scrolled to next; what it returns forgets it. */
function whenNear(element: Element, act: () => void): () => void {
  observer ??= new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer?.unobserve(target);
      coming.get(target)?.();
    }
  }, { rootMargin: "200%" });
  coming.set(element, act);
  observer.observe(element);
  return () => observer?.unobserve(element);
}

function Head({ topic }: { readonly topic: Topic }): VNode {
  const { total, fresh } = topic.facts.value;
  const name = topic.name.value;
  return (
    <header class="topic">
      <h1>{name === "" ? t.unnamed(topic.place.topic) : /^https?:/.test(name) ? <a href={name} rel="noopener noreferrer" target="_blank"><bdi>{name.replace(/^https?:\/\//, "")}</bdi></a> : <bdi>{name}</bdi>}</h1>
      <p class="meta line">
        {topic.drawn.value && total > 0 && <span>{t.comments(total)}{fresh > 0 && <>{t.comma} <b class="news">{t.fresh(fresh)}</b></>}</span>}
        <label>
          <span class="sr">{t.sort}</span>
          <select value={topic.sorted.value} onChange={(event) => sort(topic, event.currentTarget.value as Order)}>
            {Object.entries(t.orders).map(([value, label]) => <option key={value} value={value}>{label}</option>)}
          </select>
        </label>
        <button class="link" aria-pressed={topic.followed.value} onClick={() => topic.follow(!topic.followed.value)}>
          {topic.followed.value ? t.following : t.follow}
        </button>
      </p>
    </header>
  );
}

function sort(topic: Topic, order: Order): void {
  topic.sorted.value = order;
  setOrder(order);
}

/** One line; what is behind it comes when somebody writes. */
function TopicComposer({ topic }: { readonly topic: Topic }): VNode {
  const line = useRef<HTMLTextAreaElement>(null);
  const wanted = useSignal(false);
  const typed = useSignal("");
  useEffect(() => {
    let here = true;
    void keeping.then((keep) => keptDraft(keep, draftKey(topic.place, ""))).then(
      (text) => {
        if (here && text !== "") wanted.value = true;
      },
      () => undefined,
    );
    return () => {
      here = false;
    };
  }, [topic]);
  const stub = (
    <div class="composer">
      <textarea
        ref={line} rows={1} dir="auto" aria-label={t.write} placeholder={t.write} value={typed.value}
        onInput={(event) => (typed.value = event.currentTarget.value)} onFocus={() => (wanted.value = true)}
      />
    </div>
  );
  return wanted.value ? <Composer topic={topic} typed={typed} meanwhile={stub} /> : stub;
}

/** What is said instead of comments, or while they come: a sentence and one action. */
function State({ topic }: { readonly topic: Topic }): VNode | null {
  const quiet = useSignal(true);
  useEffect(() => {
    const timer = setTimeout(() => (quiet.value = false), quietMillis);
    return () => clearTimeout(timer);
  }, []);
  const state = topic.state.value;
  const { unverified, total } = topic.facts.value;
  const has = topic.sections.value.length > 0;
  const say = (text: string, label?: string, act?: () => void): VNode => (
    <p class="state meta" role="status">
      {text} {label !== undefined && act !== undefined && <button class="link" onClick={act}>{label}</button>}
    </p>
  );
  if (isBroken.value || !online.value || state === "unreachable") return <Away topic={topic} />;
  if (state === "empty" && !has && topic.drawn.value) {
    return say(t.empty, t.beFirst, () => document.querySelector<HTMLElement>(".composer textarea")?.focus());
  }
  if (quiet.value) return null;
  if (state === "searching") return has ? null : say(t.searching, t.addServer, () => (panel.value = "network"));
  if (state === "reading" || (state === "live" && !topic.drawn.value)) return say(t.reading(total, topic.expected.value));
  return unverified > 0 ? say(t.checking(unverified)) : null;
}

function Hidden({ topic }: { readonly topic: Topic }): VNode | null {
  const { hiddenBy, locked } = topic.facts.value;
  const chosen = lists.value;
  const parts = hiddenBy.flatMap((n, i): VNode[] => {
    if (n === 0) return [];
    const label = chosen[i]?.label;
    if (i === hiddenBy.length - 1 || label === undefined) return [<span key={i}>{t.hiddenMuted(n)}</span>];
    return [<span key={i}>{around((who) => t.hiddenBy(n, who), <em><bdi>{label}</bdi></em>)}</span>];
  });
  if (parts.length === 0 && !locked) return null;
  return (
    <p class="state meta">
      {locked && <span>{t.locked} </span>}
      {parts.map((part, i) => <Fragment key={i}>{i > 0 && `${t.comma} `}{part}</Fragment>)}
      {parts.length > 0 && <> <button class="link" onClick={() => (topic.showHidden.value = !topic.showHidden.value)}>{topic.showHidden.value ? t.hide : t.show}</button></>}
    </p>
  );
}

function Pill({ topic }: { readonly topic: Topic }): VNode {
  const n = topic.facts.value.pending;
  return (
    <div class="pill" role="status">
      {n > 0 && <button onClick={() => void besides().then((loaded) => loaded?.showPending(topic))} aria-label={t.showPending(n)}>{t.fresh(n)}</button>}
    </div>
  );
}

/** Moves to a comment and puts the focus there. */
export function goTo(id: Hash): boolean {
  const article = document.getElementById(`c-${id}`);
  if (article === null) return false;
  article.scrollIntoView({ block: "center" });
  article.focus({ preventScroll: true });
  return true;
}
