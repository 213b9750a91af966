// Who the reader is, as far as the page needs it to read: his public keys and names, whom he muted, which lists he
// chose. Nothing here signs; that is write.ts, which comes when it is needed, and so does choices.ts, by which he chooses.

import { computed, signal } from "./signals.ts";
import { type KeptKey, keptKeys } from "../keep/person.ts";
import { parsePlace, type Place, placeText } from "../protocol/hash.ts";
import type { Order } from "../protocol/sort.ts";
import { configured, keeping } from "./page.ts";

export interface Me {
  /** 64 hex digits. */
  readonly key: string;
  readonly kept: KeptKey;
}

export interface ChosenList {
  readonly place: Place;
  /** What the reader calls it. */
  readonly label: string;
  /** Kept, and not read. */
  readonly off: boolean;
}

/** Names that are muted, and lists that are used; as many more may be off. */
export const maxMuted = 1000;
export const maxLists = 16;

export const people = signal<readonly Me[]>([]);
export const activeKey = signal("");
export const me = computed(() => people.value.find(({ key }) => key === activeKey.value) ?? people.value[0]);
export const muted = signal<readonly string[]>([]);
/** Those that the reader or the site chose, and those that are on. */
export const chosen = signal<readonly ChosenList[]>([]);
export const lists = computed(() => chosen.value.filter(({ off }) => !off).slice(0, maxLists));
export const order = signal<Order>("best");
/** Notices that were dismissed for good. */
export const dismissed = signal<readonly string[]>([]);
export const notifies = signal(false);

const orders: readonly string[] = ["newest", "oldest", "best", "discussed"] satisfies Order[];

/** Reads what is kept. Where it cannot be read the page works as on a first visit. */
export async function loadMe(): Promise<void> {
  const keep = await keeping;
  const [keys, settings] = await Promise.all([
    keptKeys(keep).catch(() => []),
    keep.list("settings").catch(() => []),
  ]);
  const of = new Map(settings);
  people.value = keys.map(([key, kept]) => ({ key, kept }));
  activeKey.value = String(of.get("active") ?? "");
  muted.value = texts(of.get("muted"), maxMuted);
  chosen.value = readLists(texts(of.get("lists"), 2 * maxLists));
  const sorted = String(of.get("order") ?? "");
  if (orders.includes(sorted)) order.value = sorted as Order;
  dismissed.value = texts(of.get("dismissed"), 32);
  notifies.value = of.get("notifies") === true;
  const site = readLists((await configured).lists);
  // What the reader said of a list of the site's holds.
  chosen.value = [...new Map([...site, ...chosen.value].map((list) => [placeText(list.place), list])).values()];
}

/** "<place> <label>"; one that is off has a "-" between. */
function readLists(all: readonly string[]): ChosenList[] {
  return all.flatMap((text) => {
    const place = parsePlace(text.slice(0, 81));
    return place === undefined ? [] : [{ place, label: text.slice(82), off: text[81] === "-" }];
  });
}

function texts(value: unknown, max: number): string[] {
  return Array.isArray(value) ? value.filter((each): each is string => typeof each === "string").slice(0, max) : [];
}

export async function keepSetting(name: string, value: unknown): Promise<void> {
  await (await keeping).put("settings", name, value).catch(() => undefined);
}

/** Keeps what follows from what is kept of several things: another tab may have kept others meanwhile. */
export async function changeSetting(name: string, next: (before: readonly unknown[]) => readonly unknown[]): Promise<void> {
  await (await keeping).change("settings", name, (before) => next(Array.isArray(before) ? before : [])).catch(() => undefined);
}

export function setOrder(next: Order): void {
  order.value = next;
  void keepSetting("order", next);
}

export function dismiss(what: string): void {
  dismissed.value = [...new Set([...dismissed.value, what])];
  void changeSetting("dismissed", (all) => [...new Set([...all, what])]);
}
