// What the whole page shares: where it is, whose it is, what it remembers, and the network.

import { computed, signal } from "./signals.ts";
import { type Config, defaultConfig, loadConfig } from "../config.ts";
import { type Keep, openKeep } from "../keep/keep.ts";
import type { Net, ServerView } from "../net/net.ts";
import { readRoute, type Route } from "../route.ts";
import { page } from "../strings/en.ts";

export const config = signal<Config>(defaultConfig);
export const route = signal<Route>(readRoute(location.hash));
/** Undefined until startNet is done. */
export const net = signal<Net | undefined>(undefined);
export const servers = signal<readonly ServerView[]>([]);
export const working = computed(() => servers.value.filter(({ state }) => state === "working").length);
export const online = signal(navigator.onLine);
/** The part of the page that lies over the rest. */
export const panel = signal<"network" | undefined>(undefined);

let opened: (keep: Keep) => void;
/** As configured below, from startPage on: in a worker, which has this code, too, nothing begins with it. */
export const keeping = new Promise<Keep>((resolve) => (opened = resolve));

/** Replies to the reader in topics that are not open. */
export const unseen = signal(0);

/** Rounds in which it was looked for replies: what is kept of topics is another after each. */
export const looked = signal(0);

/** One sentence at the bottom, with one action at most. */
export interface Notice {
  readonly text: string;
  readonly action?: { readonly label: string; readonly act: () => void };
  /** Milliseconds, or until it is answered. */
  readonly lasts?: number;
}
export const notice = signal<Notice | undefined>(undefined);
let noticeTimer: ReturnType<typeof setTimeout> | undefined;

export function tell(next: Notice | undefined): void {
  clearTimeout(noticeTimer);
  notice.value = next;
  if (next?.lasts !== undefined) noticeTimer = setTimeout(() => (notice.value = undefined), next.lasts);
}

/** Loads once; a failure is told, and may be tried again. */
export function loader<T>(load: () => Promise<T>): () => Promise<T | undefined> {
  let loading: Promise<T | undefined> | undefined;
  return () => {
    loading ??= load().catch(() => {
      loading = undefined;
      tell({ text: page.failed, action: { label: page.reload, act: () => location.reload() } });
      return undefined;
    });
    return loading;
  };
}

let read: (config: Config) => void;
export const configured = new Promise<Config>((resolve) => (read = resolve));

/** Where a topic is looked for before the network is here: the first server that a person or the site chose. */
export async function firstServer(): Promise<string | undefined> {
  const { servers } = await configured;
  const [chosen = servers.includes(".") ? "." : servers[0]] = new URL(location.href).searchParams.getAll("server");
  const origin = chosen === "." ? location.origin : chosen;
  // Browsers tell of what they do not let a page ask: so that is not even tried.
  return origin !== undefined && (location.protocol === "http:" ? /^https?:\/\/[^/?#]+$/ : /^https:\/\/[^/?#]+$/).test(origin) ? origin : undefined;
}

/** Brings the network. It comes after the first comments where these can be had without. */
export const startNet = loader(async (): Promise<Net> => {
  const [{ openNet }, site] = await Promise.all([import("../net/browser.ts"), configured]);
  const made = openNet(site);
  // A copy, since signals see only what is another array.
  made.changed(() => (servers.value = [...made.servers()]));
  servers.value = [...made.servers()];
  return (net.value = made);
});

export async function startPage(): Promise<void> {
  void openKeep().then(opened);
  addEventListener("hashchange", () => (route.value = readRoute(location.hash)));
  addEventListener("online", () => (online.value = true));
  addEventListener("offline", () => (online.value = false));
  read((config.value = await loadConfig()));
}
