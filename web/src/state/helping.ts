// Reading from other readers' pages and giving to them: when that is done, as the reader chose. net/pages.ts does it, and
// comes when it is wanted.

import { keptTopic } from "../keep/topics.ts";
import type { Account } from "../net/give.ts";
import type { Pages, PagesView } from "../net/pages.ts";
import { current } from "../ui/app.tsx";
import { startWorker } from "../workers/pool.ts";
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
export interface HelpingView extends PagesView {
  /** Bytes in this hour, and how many it may be. */
  readonly given: number;
  readonly most: number;
}
export const helped = signal<HelpingView | undefined>(undefined);

export function setHelping(next: Helping): void {
  helping.value = next;
  void keepSetting("helping", next);
}

/** Whether the reader pays for what is sent, or asked for little of it. */
function isDear(): boolean {
  const { saveData, type } = (navigator as { connection?: { saveData?: boolean; type?: string } }).connection ?? {};
  return saveData === true || type === "cellular";
}

let account: Account | undefined;

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

async function begin(topic: Topic): Promise<Pages | undefined> {
  const [made, keep, { openPages }, { maxGiven, maxOfAll, openAccount }] = await Promise.all([startNet(), keeping, import("../net/pages.ts"), import("../net/give.ts")]);
  const { place } = topic;
  const reading = made?.reading(place);
  if (made?.ways === undefined || reading === undefined) return undefined;
  const counted = (account ??= openAccount(Date.now));
  const isKept = async (id: string): Promise<boolean> => keep.lasting && (await keptTopic(keep, place))?.folder === id;
  return openPages({
    place, reading, account: counted, ways: made.ways, trackers: made.trackers().map(({ url }) => url), isKept, now: Date.now,
    car: async ({ id, names }) => ((await isKept(id)) ? askFolder({ place, id, names, most: maxGiven }) : undefined),
    changed: (view) => (helped.value = { ...view, given: counted.given, most: maxOfAll }),
  });
}

function askFolder(question: FolderQuestion): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const worker = startWorker("folder");
    worker.onerror = () => {
      worker.terminate();
      reject(new Error("no memory for the folder"));
    };
    worker.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      worker.terminate();
      resolve(new Uint8Array(data));
    };
    worker.postMessage(question);
  });
}
