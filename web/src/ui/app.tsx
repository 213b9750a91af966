// The frame: the bar, the screen that the address names, what lies over it, and the keys.

import { signal } from "../state/signals.ts";
import type { VNode } from "preact";
import { hashOfPart, writeRoute } from "../route.ts";
import { dismiss, dismissed } from "../state/me.ts";
import { config, net, notice, online, panel, route, tell, unseen, working } from "../state/page.ts";
import type { Topic } from "../state/topic.ts";
import { page as t, thread as threadText } from "../strings/en.ts";
import { number } from "../strings/spoken.ts";
import { lazy } from "./lazy.tsx";
import { useSignalEffect } from "./component.ts";
import { Thread } from "./thread.tsx";

const screens = () => import("./screens.tsx");
const Screen = lazy(async () => (await screens()).Screen);
const Network = lazy(async () => (await screens()).Network);

/** The topic that is read now. */
export const current = signal<Topic | undefined>(undefined);

export function App(): VNode {
  const here = route.value;
  useSignalEffect(() => {
    const { value } = route;
    const topic = current.value;
    const name = value.screen === "thread" ? (topic?.name.value || threadText.unnamed(hashOfPart(value.topic))) : t[value.screen.split("/")[0] as "list"];
    const news = (topic?.facts.value.pending ?? 0) + unseen.value;
    document.title = `${news > 0 ? `(${number(news)}) ` : ""}${name} · ${t.title}`;
  });
  return (
    <>
      <a class="skip sr" href="#main" onClick={(event) => skip(event)}>{t.skip}</a>
      <Bar />
      {!dismissed.value.includes("first") && <First />}
      {here.screen === "thread" ? <Thread route={here} />
        : <Screen route={here} />}
      {panel.value === "network" && <Network />}
      <NoticeLine />
    </>
  );
}

/** The address's fragment is the route, so this link cannot be one. */
function skip(event: Event): void {
  event.preventDefault();
  (document.getElementById("comments") ?? document.getElementById("main"))?.focus();
}

function Bar(): VNode {
  const here = route.value;
  const community = ("community" in here ? here.community : undefined) ?? config.value.community;
  const topic = current.value;
  const n = working.value;
  const state = !online.value ? t.offline : n === 0 ? t.noServers : t.servers(n);
  return (
    <header class="bar">
      <nav>
        <a href={writeRoute({ screen: "home", community })}><bdi>{/^[0-9a-f]{40}$/.test(community) ? community.slice(0, 8) : community}</bdi></a>
        {here.screen === "thread" && <span class="where"><bdi>{topic?.name.value || threadText.unnamed(topic?.place.topic ?? "")}</bdi></span>}
      </nav>
      <a href="#search" class={here.screen === "search" ? "here icon find" : "icon find"} aria-label={t.search} title={t.search} />
      <a href="#you" class={here.screen === "you" ? "here" : ""}>{t.you}</a>
      <a href="#help" class={here.screen === "help" ? "here wide-only" : "wide-only"}>{t.help}</a>
      <button class="status" aria-haspopup="dialog" aria-label={t.network(state)} onClick={() => (panel.value = panel.value === "network" ? undefined : "network")}>
        <span class={n > 0 && online.value ? "dot ok" : net.value === undefined ? "dot" : "dot warn"} />
        <span class="wide-only">{state}</span>
      </button>
    </header>
  );
}

function First(): VNode {
  return (
    <aside class="first meta" aria-label={t.about}>
      <span>{t.first}</span>
      <button class="link" onClick={() => dismiss("first")}>{t.dismiss}</button>
    </aside>
  );
}

function NoticeLine(): VNode {
  const now = notice.value;
  return (
    <div class="notice" role="status">
      {now !== undefined && (
        <p>
          <span>{now.text}</span>
          {now.action !== undefined && <button class="link" onClick={() => { now.action?.act(); tell(undefined); }}>{now.action.label}</button>}
          <button class="icon shut" aria-label={t.dismiss} title={t.dismiss} onClick={() => tell(undefined)} />
        </p>
      )}
    </div>
  );
}
