// Reading from other readers' pages and giving to them: when that is done, as the reader chose. net/pages.ts does it, and
// comes when it is wanted.

import { keptTopic } from "../keep/topics.ts";
import type { Pages, PagesView } from "../net/pages.ts";
import { current } from "../ui/app.tsx";
import { askWorker } from "../workers/asking.ts";
import type { FolderQuestion } from "../workers/folder.ts";
import { answering, startAnswering } from "./answering.ts";
import { keepSetting } from "./me.ts";
import { keeping, net, startNet } from "./page.ts";
import { effect, signal } from "./signals.ts";
import type { Topic } from "./topic.ts";

export const helpings = ["auto", "always", "never"] as const;
export type Helping = (typeof helpings)[number];

/** With fewer servers than that, pages give. */
const few = 2;

/** Never until it is known what the reader chose. */
export const helping = signal<Helping>("never");
export const helped = signal<PagesView | undefined>(undefined);

export function setHelping(next: Helping): void {
  helping.value = next;
  void keepSetting("helping", next);
}

/** Whether the reader pays for what is sent, or asked for little of it. */
function isDear(): boolean {
  const { saveData, type } = (navigator as { connection?: { saveData?: boolean; type?: string } }).connection ?? {};
  return saveData === true || type === "cellular";
}

export async function startHelping(): Promise<void> {
  const chosen = await (await keeping).get("settings", "helping").catch(() => undefined);
  helping.value = helpings.find((each) => each === chosen) ?? "auto";
  startAnswering();
  let open: { readonly topic: Topic; readonly pages: Promise<Pages | undefined> } | undefined;
  effect(() => {
    const topic = current.value;
    const how = helping.value;
    // A topic that is just opened is not being read at once; its state tells.
    const isRead = topic !== undefined && topic.state.value !== undefined && net.value?.reading(topic.place) !== undefined;
    const asks = how !== "never" && answering.value === 0;
    const gives = how === "always" || (how === "auto" && answering.value < few && !isDear());
    const isOn = isRead && (asks || gives);
    if (open !== undefined && (open.topic !== topic || !isOn)) {
      void open.pages.then((pages) => pages?.close());
      open = undefined;
      helped.value = undefined;
    }
    if (topic === undefined || !isOn) return;
    open ??= { topic, pages: begin(topic) };
    void open.pages.then((pages) => pages?.set({ asks, gives }));
  });
}

async function begin({ place }: Topic): Promise<Pages | undefined> {
  const [made, keep, { openPages }] = await Promise.all([startNet(), keeping, import("../net/pages.ts")]);
  const reading = made?.reading(place);
  if (made?.ways === undefined || reading === undefined) return undefined;
  return openPages({
    place, reading, ways: made.ways, trackers: made.trackers().map(({ url }) => url), now: Date.now,
    // What is not kept for good, this page has not: the worker that makes the folder reads it from there.
    isKept: async (id) => keep.lasting && (await keptTopic(keep, place))?.folder === id,
    car: async ({ id, names }, most) => new Uint8Array(await askWorker<FolderQuestion, ArrayBuffer>("folder", { place, id, names, most })),
    changed: (view) => (helped.value = view),
  });
}
