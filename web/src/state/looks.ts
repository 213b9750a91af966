// Light, dark, or as the system has it. Kept where it can be read at once: a page must not flash.

import { signal } from "./signals.ts";

export type Looks = "auto" | "light" | "dark";
export const looksName = "looks";

function kept(): Looks {
  try {
    const value = localStorage.getItem(looksName);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    // Storage is forbidden here.
    return "auto";
  }
}

export const looks = signal<Looks>(kept());

export function applyLooks(): void {
  if (looks.value === "auto") delete document.documentElement.dataset["looks"];
  else document.documentElement.dataset["looks"] = looks.value;
}
