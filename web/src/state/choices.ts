// What the reader chooses on later screens: see me.ts.

import { type Place, placeText } from "../protocol/hash.ts";
import { applyLooks, type Looks, looks, looksName } from "./looks.ts";
import { activeKey, changeSetting, chosen, type ChosenList, keepSetting, maxLists, maxMuted, muted } from "./me.ts";

export function mute(key: string, on: boolean): void {
  const next = <T>(all: readonly (T | string)[]): (T | string)[] => [...all.filter((each) => each !== key), ...(on ? [key] : [])].slice(-maxMuted);
  muted.value = next<string>(muted.value);
  void changeSetting("muted", next);
}

/** Uses a list, or one that is there already otherwise. */
export function setList(list: ChosenList): void {
  changeList(list.place, list);
}

export function forgetList(place: Place): void {
  changeList(place);
}

function changeList(place: Place, list?: ChosenList): void {
  const name = placeText(place);
  const next = <T>(all: readonly T[], nameOf: (each: T) => string, put: readonly T[]): T[] => {
    const isIt = (each: T): boolean => nameOf(each) === name;
    return (all.some(isIt) ? all.flatMap((each) => (isIt(each) ? put : [each])) : [...all, ...put]).slice(0, 2 * maxLists);
  };
  chosen.value = next(chosen.value, (each) => placeText(each.place), list === undefined ? [] : [list]);
  void changeSetting("lists", (all) => next(all, (each) => String(each).slice(0, name.length), list === undefined ? [] : [`${name}${list.off ? "-" : " "}${list.label}`]));
}

export function setActive(key: string): void {
  activeKey.value = key;
  void keepSetting("active", key);
}

export function setLooks(next: Looks): void {
  looks.value = next;
  applyLooks();
  // For this visit, where nothing is kept.
  choose(looksName, next === "auto" ? "" : next);
}

/** Keeps what must be known before anything is drawn; whether it is kept. */
export function choose(name: string, value: string): boolean {
  try {
    if (value === "") localStorage.removeItem(name);
    else localStorage.setItem(name, value);
    return true;
  } catch {
    return false;
  }
}
