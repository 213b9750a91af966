// Topics: those followed, those that are active now, those read before; and one box that takes whatever names one.

import type { ComponentChildren, VNode } from "preact";
import { type KeptTopic, keptTopics } from "../keep/topics.ts";
import type { ActiveTopic } from "../net/net.ts";
import type { Place } from "../protocol/hash.ts";
import { hashOfPart, writeRoute } from "../route.ts";
import { keeping, looked, net, servers } from "../state/page.ts";
import { thread as threadText } from "../strings/en.ts";
import { home as t } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { routeOfTyped } from "../typed.ts";
import { useEffect, useSignal } from "./component.ts";
import { ago } from "./when.ts";

/** What the servers name is asked for so long. */
const activeMillis = 10_000;
/** Topics read before that are listed. */
const maxRecent = 20;

export function Home({ community }: { readonly community: string }): VNode {
  const kept = useSignal<readonly [Place, KeptTopic][]>([]);
  const active = useSignal<readonly ActiveTopic[] | undefined>(undefined);
  const typed = useSignal("");
  useEffect(() => {
    void keeping.then(keptTopics).then((all) => (kept.value = all), () => undefined);
  }, [looked.value]);
  const made = net.value;
  const proven = servers.value.filter(({ state }) => state === "working").length;
  useEffect(() => {
    if (made === undefined) return undefined;
    const stop = AbortSignal.timeout(activeMillis);
    let here = true;
    void made.active(hashOfPart(community), stop).catch(() => []).then((all) => {
      if (here && (all.length > 0 || active.peek() === undefined)) active.value = all;
    });
    return () => {
      here = false;
    };
  }, [made, community, proven]);

  function open(event: Event): void {
    event.preventDefault();
    const route = routeOfTyped(typed.value, community);
    if (route !== undefined) location.hash = writeRoute(route);
  }

  const followed = kept.value.filter(([, { followed: on }]) => on);
  const recent = kept.value.filter(([, { followed: on }]) => !on).slice(0, maxRecent);
  const replies = kept.value.filter(([, each]) => each.replies.length > 0);
  // A topic of another community says so in its link; names are proven by their hashes, or typed by the reader.
  const linkOf = (place: Place, name: string): string =>
    writeRoute({ screen: "thread", community: place.community === hashOfPart(community) ? community : place.community, topic: name === "" ? place.topic : name });
  return (
    <main id="main" tabIndex={-1}>
      <h1 class="sr">{t.title}</h1>
      <form class="box" onSubmit={open}>
        <label class="sr" for="box">{t.box}</label>
        <input id="box" type="text" dir="auto" placeholder={t.boxPlace} autocapitalize="off" autocomplete="off" spellcheck={false} value={typed.value} onInput={(event) => (typed.value = event.currentTarget.value)} />
        <button class="primary" disabled={typed.value.trim() === ""}>{t.open}</button>
      </form>
      {replies.length > 0 && (
        <List title={t.replies}>
          {replies.map(([place, { name, replies: ids }]) => <TopicLine key={place.topic} href={linkOf(place, name)} name={name} hash={place.topic} facts={[t.replied(ids.length)]} />)}
        </List>
      )}
      <List title={t.follow} none={t.noFollow}>
        {followed.map(([place, { name, comments, visited }]) => (
          <TopicLine key={place.topic} href={linkOf(place, name)} name={name} hash={place.topic} facts={[t.comments(comments), visited > 0 ? ago(visited, Date.now()) : ""]} />
        ))}
      </List>
      <List title={t.active} none={active.value === undefined ? t.loading : t.noActive}>
        {(active.value ?? []).map(({ topic, name, comments, last }) => (
          <TopicLine key={topic} href={linkOf({ community: hashOfPart(community), topic }, name)} name={name} hash={topic} facts={[t.comments(comments), last === undefined ? "" : ago(last, Date.now())]} />
        ))}
      </List>
      {recent.length > 0 && (
        <List title={t.recent}>
          {recent.map(([place, { name, comments, visited }]) => (
            <TopicLine key={place.topic} href={linkOf(place, name)} name={name} hash={place.topic} facts={[t.comments(comments), ago(visited, Date.now())]} />
          ))}
        </List>
      )}
    </main>
  );
}

function List({ title, none, children }: { readonly title: string; readonly none?: string; readonly children: ComponentChildren }): VNode {
  const empty = Array.isArray(children) && children.length === 0;
  return (
    <section class="list">
      <h2>{title}</h2>
      {empty ? <p class="meta">{none}</p> : <ul class="plain">{children}</ul>}
    </section>
  );
}

function TopicLine({ href, name, hash, facts }: { readonly href: string; readonly name: string; readonly hash: string; readonly facts: readonly string[] }): VNode {
  const shown = /^https?:/.test(name) ? name.replace(/^https?:\/\//, "") : shownName(name);
  return (
    <li>
      <a href={href}><bdi>{shown === "" ? threadText.unnamed(hash) : shown}</bdi></a>
      <span class="meta">{facts.filter((fact) => fact !== "").join(" · ")}</span>
    </li>
  );
}
