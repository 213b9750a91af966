// What the page does while nobody asks for it: it looks for replies in the topics that the reader follows, tells of
// those that come while he is elsewhere, and notices when the page itself was replaced.

import { effect } from "./signals.ts";
import { changeTopic, keptTopics } from "../keep/topics.ts";
import { type Place, placeText } from "../protocol/hash.ts";
import { menu } from "../strings/en-later.ts";
import { page } from "../strings/en.ts";
import { current } from "../ui/app.tsx";
import { showNotes } from "../ui/waits.tsx";
import type { Reply } from "../workers/messages.ts";
import { keepCopy, renewCopy } from "./copy.ts";
import { startHelping } from "./helping.ts";
import { isHidden, openList } from "./lists.ts";
import { lists, muted, people } from "./me.ts";
import { markIcon, tellOf } from "./notify.ts";
import { startOutbox } from "./outbox.ts";
import { keeping, looked, tell, unseen } from "./page.ts";
import { openQuiet, readOnce } from "./rounds.ts";

/** Topics that are looked at in one round, those visited last first; one after the other. */
export const maxLooked = 20;
const roundMillis = 5 * 60_000;
/** A topic that takes longer waits for the next round; a list is not waited for any longer. */
export const lookMillis = 20_000;
/** What a visit read is as old as this at most. */
const seenMillis = 60_000;
/** The page's own address is asked again when it was not looked at for so long. */
const updateMillis = 60 * 60_000;

export function startBackground(): void {
  startOutbox();
  showNotes();
  void round();
  setInterval(() => void round(), roundMillis);
  followReplies();
  rememberSeen();
  markIcon();
  noticeUpdates();
  void startHelping();
}

export async function round(): Promise<void> {
  // Without a name nobody can have answered.
  if (people.peek().length === 0 || !navigator.onLine) return;
  const keep = await keeping;
  const followed = (await keptTopics(keep).catch(() => [])).filter(([, { followed: on }]) => on).slice(0, maxLooked);
  // A reply is told once, so it is known before whom they hide.
  const opened = followed.length === 0 ? [] : lists.peek().map(({ place }) => openList(place, lookMillis));
  await Promise.all(opened.map(({ heard }) => heard));
  for (const [place, { name }] of followed) {
    const open = current.peek()?.place;
    if (open !== undefined && placeText(open) === placeText(place)) continue;
    const replies = (await look(place))?.filter(({ id, key }) => !opened.some(({ view }) => isHidden(view.peek(), id, key)));
    if (replies === undefined) continue;
    await changeTopic(keep, place, { replies: replies.map(({ id }) => id) }).catch(() => undefined);
    await tellOf(place, name, replies);
  }
  for (const list of opened) list.close();
  looked.value++;
}

/** Replies in a topic that came since the last visit. */
function look(place: Place): Promise<readonly Reply[] | undefined> {
  return new Promise((resolve) => {
    let stop = (): void => undefined;
    let live = false;
    const quiet = openQuiet(place, { order: "oldest", muted: muted.peek() }, (message) => {
      if (message.kind === "held") {
        stop = readOnce(place, { held: new Set(message.ids), ...(message.folder === "" ? {} : { folder: message.folder }) }, quiet.take(), () => {
          live = true;
          quiet.ask("live");
        });
      }
      if (message.kind === "thread" && live && message.facts.unverified === 0) end(message.facts.replies);
    });
    const timer = setTimeout(() => end(undefined), lookMillis);
    function end(replies: readonly Reply[] | undefined): void {
      clearTimeout(timer);
      stop();
      quiet.close();
      resolve(replies);
    }
  });
}

/** Counts what came in other topics, and tells of what comes to this one. */
function followReplies(): void {
  effect(() => {
    const open = current.value?.place;
    const now = looked.value;
    void keeping.then(keptTopics).then((all) => {
      if (now === looked.peek()) unseen.value = all.filter(([place]) => open === undefined || placeText(place) !== placeText(open)).reduce((sum, [, { replies }]) => sum + replies.length, 0);
    }, () => undefined);
  });
  effect(() => {
    const topic = current.value;
    if (topic !== undefined) void tellOf(topic.place, topic.name.peek(), topic.facts.value.replies);
  });
}

/** Remembers until when a topic was as servers have it. */
function rememberSeen(): void {
  const seen = (): void => {
    const topic = current.peek();
    if (topic?.state.peek() === "live") void keeping.then((keep) => changeTopic(keep, topic.place, { seen: Date.now() })).catch(() => undefined);
  };
  effect(() => {
    if (current.value?.state.value === "live") seen();
  });
  setInterval(seen, seenMillis);
}

/** Scripts lie in a folder whose name follows from what is in it: another name is another page. */
function noticeUpdates(): void {
  const [, folder] = /\/([^/]+)\/[^/]+$/.exec(new URL(import.meta.url).pathname) ?? [];
  if (folder === undefined) return;
  let asked = Date.now();
  async function look(): Promise<void> {
    asked = Date.now();
    const response = await fetch("./", { headers: { Accept: "text/html" }, cache: "no-cache" });
    if (!response.ok || (await response.text()).includes(folder as string)) return;
    await renewCopy().catch(() => undefined);
    tell({ text: menu.update, action: { label: page.reload, act: () => location.reload() } });
  }
  const ask = (): void => void look().catch(() => undefined);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && Date.now() - asked >= updateMillis) ask();
  });
  void keepCopy(folder, ask).catch(() => undefined);
}
