// Reading from other readers' pages and giving to them: when that is done, as the reader chose. net/pages.ts does it, and
// comes when it is wanted.

import { keptTopic } from "../keep/topics.ts";
import type { Pages, PagesView } from "../net/pages.ts";
import { current } from "../ui/app.tsx";
import { folderInWorker } from "../workers/working.ts";
import { answering, startAnswering } from "./answering.ts";
import { keepSetting } from "./me.ts";
import { keeping, net, startNet } from "./page.ts";
import { decide, type Sharing, sharings } from "./sharing.ts";
import { effect, signal } from "./signals.ts";
import type { Topic } from "./topic.ts";

/** Never until it is known what the reader chose. */
export const helping = signal<Sharing>("never");
export const helped = signal<PagesView | undefined>(undefined);

export function setHelping(next: Sharing): void {
  helping.value = next;
  void keepSetting("helping", next);
}

interface Connection extends EventTarget {
  readonly saveData?: boolean;
  readonly type?: string;
}
const { connection } = navigator as { readonly connection?: Connection };
const isDear = (): boolean => connection?.saveData === true || connection?.type === "cellular";

export async function startHelping(): Promise<void> {
  const chosen = await (await keeping).get("settings", "helping").catch(() => undefined);
  helping.value = sharings.find((each) => each === chosen) ?? "auto";
  startAnswering();
  const dear = signal(isDear());
  connection?.addEventListener?.("change", () => (dear.value = isDear()));
  let open: { readonly topic: Topic; readonly pages: Promise<Pages | undefined> } | undefined;
  effect(() => {
    const topic = current.value;
    // A topic that is just opened is not being read at once; its state tells.
    const isRead = topic !== undefined && topic.state.value !== undefined && net.value?.reading(topic.place) !== undefined;
    const next = decide(helping.value, answering.value, dear.value);
    const isOn = isRead && (next.asks || next.gives);
    if (open !== undefined && (open.topic !== topic || !isOn)) {
      void open.pages.then((pages) => pages?.close());
      open = undefined;
      helped.value = undefined;
    }
    if (topic === undefined || !isOn) return;
    open ??= { topic, pages: begin(topic).catch(() => undefined) };
    void open.pages.then((pages) => pages?.set(next));
  });
}

async function begin({ place }: Topic): Promise<Pages | undefined> {
  const [made, keep] = await Promise.all([startNet(), keeping]);
  const { openPages } = await import("../net/pages.ts");
  const reading = made?.reading(place);
  if (made?.ways === undefined || reading === undefined) return undefined;
  return openPages({
    place, reading, ways: made.ways, trackers: made.trackers().map(({ url }) => url), now: Date.now,
    // What is not kept for good, this page has not: the worker that makes the folder reads it from there.
    isKept: async (id) => keep.lasting && (await keptTopic(keep, place))?.folder === id,
    car: ({ id, names }, most) => folderInWorker({ place, id, names, most }),
    changed: (view) => (helped.value = view),
  });
}
