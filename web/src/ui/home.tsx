// Topics: those followed, those that are active now, those read before; and one box that takes whatever names one.

import type { VNode } from "preact";
import { type KeptTopic, keptTopics } from "../keep/topics.ts";
import type { ActiveTopic } from "../net/net.ts";
import type { Place } from "../protocol/hash.ts";
import { hashOfPart, writeRoute } from "../route.ts";
import { keeping, looked, net, working } from "../state/page.ts";
import { thread } from "../strings/en.ts";
import { home as t } from "../strings/en-later.ts";
import { routeOfTyped } from "../typed.ts";
import { useEffect, useSignal } from "./component.ts";
import { Field, joined, linkTo, titleOf } from "./forms.tsx";
import { ago } from "./when.ts";

/** What the servers name is asked for so long. */
const activeMillis = 10_000;
/** Topics read before that are listed. */
const maxRecent = 20;

/** A topic as it is listed. at: milliseconds since 1970; 0 and undefined are never. */
type Line = readonly [place: Place, name: string, fact: string, at?: number | undefined];

export function Home({ community }: { readonly community: string }): VNode {
  const kept = useSignal<readonly [Place, KeptTopic][]>([]);
  const active = useSignal<readonly ActiveTopic[] | undefined>(undefined);
  useEffect(() => {
    void keeping.then(keptTopics).then((all) => (kept.value = all), () => undefined);
  }, [looked.value]);
  const made = net.value;
  useEffect(() => {
    if (made === undefined) return undefined;
    let here = true;
    void made.active(hashOfPart(community), AbortSignal.timeout(activeMillis)).catch(() => []).then((all) => {
      if (here && (all.length > 0 || active.peek() === undefined)) active.value = all;
    });
    return () => {
      here = false;
    };
  }, [made, community, working.value]);

  function open(typed: string): string {
    const route = routeOfTyped(typed, community);
    if (route !== undefined) location.hash = writeRoute(route);
    return "";
  }

  const read = (isFollowed: boolean): Line[] => kept.value.flatMap(([place, { followed, name, comments, visited }]): Line[] =>
    followed === isFollowed ? [[place, name, thread.comments(comments), visited]] : []);
  // Names are proven by their hashes, or typed by the reader.
  const lists: readonly (readonly [title: string, lines: readonly Line[], none?: string])[] = [
    [t.replies, kept.value.flatMap(([place, { name, replies }]): Line[] => (replies.length > 0 ? [[place, name, t.replied(replies.length)]] : []))],
    [t.follow, read(true), t.noFollow],
    [
      t.active, (active.value ?? []).map(({ topic, name, comments, last }): Line => [{ community: hashOfPart(community), topic }, name, thread.comments(comments), last]),
      active.value === undefined ? t.loading : t.noActive,
    ],
    [t.recent, read(false).slice(0, maxRecent)],
  ];
  return (
    <main id="main" tabIndex={-1}>
      <h1 class="sr">{t.title}</h1>
      <Field label={t.box} hint={t.boxPlace} go={t.open} act={open} />
      {lists.map(([title, lines, none]) => (lines.length > 0 || none !== undefined) && (
        <section key={title} class="list">
          <h2>{title}</h2>
          {lines.length === 0 ? <p class="meta">{none}</p> : (
            <ul class="plain">{lines.map(([place, name, fact, at]) => (
              <li key={place.topic}>
                <a href={linkTo(place, name)}><bdi>{titleOf(place, name)}</bdi></a>
                <span class="meta">{joined([fact, at ? ago(at) : ""])}</span>
              </li>
            ))}</ul>
          )}
        </section>
      ))}
    </main>
  );
}
