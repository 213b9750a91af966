// What a filter says, as plain data for the page.

import type { Filter } from "../protocol/filter.ts";
import type { Yes } from "../protocol/kinds.ts";
import type { FilterView } from "./messages.ts";

export function viewOf({ owner, delegates, unheard }: Filter): FilterView {
  const { key, tag, words } = owner;
  const own = new Map<string, { yes: boolean; date: string }>();
  const theirs = new Map<string, string>();
  for (const about of Object.keys(words) as Yes[]) {
    for (const [thing, { yes, document }] of words[about]) own.set(`${about} ${thing}`, { yes, date: document.signed?.date ?? "" });
    // One level deep: whom delegates delegate is theirs.
    for (const list of about === "delegate" ? [] : delegates) {
      for (const [thing, { yes }] of list.words[about]) {
        const name = `${about} ${thing}`;
        if (yes && !own.has(name) && !theirs.has(name)) theirs.set(name, list.tag ?? "");
      }
    }
  }
  return { ...(key !== undefined && tag !== undefined ? { key, tag } : {}), own, theirs, unheard };
}
