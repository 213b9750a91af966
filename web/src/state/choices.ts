// What the reader chooses on later screens: see me.ts.

import { placeText } from "../protocol/hash.ts";
import { applyLooks, type Looks, looks, looksName } from "./looks.ts";
import { activeKey, chosen, type ChosenList, keepSetting, maxLists, maxMuted, muted } from "./me.ts";

export function mute(key: string, on: boolean): void {
  const others = muted.value.filter((each) => each !== key);
  muted.value = on ? [...others, key].slice(-maxMuted) : others;
  void keepSetting("muted", muted.value);
}

export function setLists(next: readonly ChosenList[]): void {
  chosen.value = next.slice(0, 2 * maxLists);
  void keepSetting("lists", chosen.value.map(({ place, label, off }) => `${placeText(place)}${off ? "-" : " "}${label}`));
}

/** Uses a list, or one that is there already otherwise. */
export function setList(list: ChosenList): void {
  const isIt = ({ place }: ChosenList): boolean => placeText(place) === placeText(list.place);
  setLists(chosen.value.some(isIt) ? chosen.value.map((each) => (isIt(each) ? list : each)) : [...chosen.value, list]);
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
