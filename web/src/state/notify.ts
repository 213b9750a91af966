// Telling of replies: the number in the title, a dot on the icon, and, for who chose so, a notification where he looks
// elsewhere. Each reply is told once, in whichever tab comes to it first.

import { placeText, type Place } from "../protocol/hash.ts";
import { writeRoute } from "../route.ts";
import { menu } from "../strings/en-later.ts";
import { current } from "../ui/app.tsx";
import type { Reply } from "../workers/messages.ts";
import { keepSetting, notifies } from "./me.ts";
import { keeping, route, unseen } from "./page.ts";
import { effect, signal } from "./signals.ts";

/** Notifications in a minute; the number in the title has the others. */
export const maxNotified = 5;
const minuteMillis = 60_000;
/** Replies that are remembered as told. */
export const maxTold = 500;

export async function setNotifies(on: boolean): Promise<void> {
  notifies.value = on && (await Notification.requestPermission()) === "granted";
  await keepSetting("notifies", notifies.value);
}

/** Those of the ids that nobody told of; from now on they are told, in all tabs. */
export async function claim(ids: readonly string[]): Promise<ReadonlySet<string>> {
  let mine: readonly string[] = [];
  await (await keeping).change("settings", "told", (before) => {
    const told = Array.isArray(before) ? (before as string[]) : [];
    mine = ids.filter((id) => !told.includes(id));
    return [...told, ...mine].slice(-maxTold);
  }).catch(() => undefined);
  return new Set(mine);
}

/** A gate that lets so many through in a minute. */
export function limit(max: number, now: () => number): () => boolean {
  let times: number[] = [];
  return () => {
    times = times.filter((time) => time > now() - minuteMillis);
    return times.length < max && times.push(now()) > 0;
  };
}

const mayShow = limit(maxNotified, () => Date.now());
const known = new Set<string>();

export async function tellOf(place: Place, name: string, replies: readonly Reply[]): Promise<void> {
  const news = replies.filter(({ id }) => !known.has(id));
  if (news.length === 0) return;
  for (const { id } of news) known.add(id);
  const claimed = await claim(news.map(({ id }) => id));
  for (const reply of news) if (claimed.has(reply.id) && notifies.peek() && document.visibilityState !== "visible" && mayShow()) show(place, name, reply);
}

function show(place: Place, name: string, { id, user, text }: Reply): void {
  try {
    const made = new Notification(menu.reply(user || menu.nobody, name), { body: text, tag: id });
    made.onclick = () => {
      made.close();
      focus();
      const here = route.peek();
      const topic = current.peek();
      if (here.screen === "thread" && topic !== undefined && placeText(topic.place) === placeText(place)) {
        topic.apply();
        location.hash = writeRoute({ ...here, comment: id });
      } else location.hash = writeRoute({ screen: "thread", community: place.community, topic: name || place.topic, comment: id });
    };
  } catch {
    // Some browsers leave these to service workers.
  }
}

/** Draws a dot on the icon as long as there is something new. */
export function markIcon(): void {
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
  if (icon === null) return;
  const plain = icon.href;
  const marked = signal("");
  effect(() => {
    const n = (current.value?.facts.value.pending ?? 0) + unseen.value;
    const { setAppBadge } = navigator as { setAppBadge?: (n: number) => Promise<void> };
    void setAppBadge?.call(navigator, n).catch(() => undefined);
    // It may come when there is nothing new any more.
    icon.href = (n > 0 && marked.value) || plain;
    if (n > 0 && marked.value === "") {
      void fetch(plain).then(async (response) => response.text()).then((svg) => {
        marked.value = `data:image/svg+xml,${encodeURIComponent(svg.replace("</svg>", '<circle cx="4" cy="1" r="1" fill="#b3261e"/></svg>'))}`;
      }, () => undefined);
    }
  });
}
