// Light, dark, or as the system has it. Kept where it can be read at once: a page must not flash.

import { signal } from "./signals.ts";

export type Looks = "auto" | "light" | "dark";
export const looksName = "looks";

/** "" if nothing was chosen. */
export function keptChoice(name: string): string {
  try {
    return localStorage.getItem(name) ?? "";
  } catch {
    // Storage is forbidden here.
    return "";
  }
}

const kept = keptChoice(looksName);
export const looks = signal<Looks>(kept === "light" || kept === "dark" ? kept : "auto");

export function applyLooks(): void {
  if (looks.value === "auto") delete document.documentElement.dataset["looks"];
  else document.documentElement.dataset["looks"] = looks.value;
}
