// What the whole page shares: where it is, whose it is, what it remembers, and the network.

import { computed, signal } from "@preact/signals";
import { type Config, defaultConfig, loadConfig } from "../config.ts";
import { type Keep, openKeep } from "../keep/keep.ts";
import { openNet } from "../net/browser.ts";
import type { Net, ServerView } from "../net/net.ts";
import { readRoute, type Route } from "../route.ts";

export const config = signal<Config>(defaultConfig);
export const route = signal<Route>(readRoute(location.hash));
/** Undefined until the configuration is read. */
export const net = signal<Net | undefined>(undefined);
export const servers = signal<readonly ServerView[]>([]);
export const working = computed(() => servers.value.filter(({ state }) => state === "working").length);
export const online = signal(navigator.onLine);
/** The part of the page that lies over the rest. */
export const panel = signal<"network" | undefined>(undefined);

export const keeping: Promise<Keep> = openKeep();

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

export async function startPage(): Promise<void> {
  addEventListener("hashchange", () => (route.value = readRoute(location.hash)));
  addEventListener("online", () => (online.value = true));
  addEventListener("offline", () => (online.value = false));
  config.value = await loadConfig();
  const made = openNet(config.value);
  // A copy, since signals see only what is another array.
  made.changed(() => (servers.value = [...made.servers()]));
  servers.value = [...made.servers()];
  net.value = made;
}
