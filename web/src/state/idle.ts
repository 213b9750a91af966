// When there is time for what nobody waits for.

import { current } from "../ui/app.tsx";
import { route } from "./page.ts";
import { effect } from "./signals.ts";

/** So long after the thread shows. */
const idleMillis = 2000;

/** Resolves two seconds after the thread, if one is read, shows, once the page has nothing else to do. */
export function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (route.value.screen === "thread" && current.value?.drawn.value !== true) return;
      setTimeout(() => {
        stop();
        // Safari has none.
        if ("requestIdleCallback" in globalThis) requestIdleCallback(() => resolve());
        else resolve();
      }, idleMillis);
    });
  });
}
