// What the page does while nobody asks for it: it looks for replies in the topics that the reader follows, tells of
// those that come while he is elsewhere, and notices when the page itself was replaced.

import { effect } from "./signals.ts";
import { changeTopic, keptTopics } from "../keep/topics.ts";
import { type Place, placeText } from "../protocol/hash.ts";
import { menu } from "../strings/en-later.ts";
import { page } from "../strings/en.ts";
import { current } from "../ui/app.tsx";
import { startHelping } from "./helping.ts";
import { muted, notifies, people } from "./me.ts";
import { keeping, looked, tell } from "./page.ts";
import { openQuiet, readOnce } from "./rounds.ts";

/** Topics that are looked at in one round, those visited last first; one after the other. */
export const maxLooked = 20;
const roundMillis = 5 * 60_000;
/** A topic that takes longer waits for the next round. */
const lookMillis = 20_000;
/** The page's own address is asked again when it was not looked at for so long. */
const updateMillis = 60 * 60_000;

export function startBackground(): void {
  void round();
  setInterval(() => void round(), roundMillis);
  notifyOfReplies();
  noticeUpdates();
  void startHelping();
}

async function round(): Promise<void> {
  // Without a name nobody can have answered.
  if (people.peek().length === 0 || !navigator.onLine) return;
  const keep = await keeping;
  const followed = (await keptTopics(keep).catch(() => [])).filter(([, { followed: on }]) => on).slice(0, maxLooked);
  for (const [place] of followed) {
    const open = current.peek()?.place;
    if (open !== undefined && placeText(open) === placeText(place)) continue;
    const replies = await look(place);
    if (replies !== undefined) await changeTopic(keep, place, { replies }).catch(() => undefined);
  }
  looked.value++;
}

/** Replies in a topic that came since the last visit. */
function look(place: Place): Promise<readonly string[] | undefined> {
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
    function end(replies: readonly string[] | undefined): void {
      clearTimeout(timer);
      stop();
      quiet.close();
      resolve(replies);
    }
  });
}

/** A notification for each reply that comes while the page is open and not looked at. */
function notifyOfReplies(): void {
  const told = new Set<string>();
  effect(() => {
    const topic = current.value;
    const replies = topic?.facts.value.replies ?? [];
    const isNew = replies.filter((id) => !told.has(id));
    for (const id of isNew) told.add(id);
    if (isNew.length === 0 || !notifies.peek() || document.visibilityState === "visible") return;
    try {
      new Notification(menu.reply(topic?.name.peek() ?? ""), { tag: topic?.place.topic ?? "" });
    } catch {
      // Some browsers leave these to service workers.
    }
  });
}

/** Scripts lie in a folder whose name follows from what is in it: another name is another page. */
function noticeUpdates(): void {
  const [, folder] = /\/([^/]+)\/[^/]+$/.exec(new URL(import.meta.url).pathname) ?? [];
  let asked = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible" || folder === undefined || Date.now() - asked < updateMillis) return;
    asked = Date.now();
    void fetch("./", { headers: { Accept: "text/html" }, cache: "no-cache" })
      .then(async (response) => (response.ok ? response.text() : folder))
      .catch(() => folder)
      .then((index) => {
        if (!index.includes(folder)) tell({ text: menu.update, action: { label: page.reload, act: () => location.reload() } });
      });
  });
}
