// When there is time for what nobody waits for.

import { current } from "../ui/app.tsx";
import { route } from "./page.ts";
import { effect } from "./signals.ts";

/**
 * Nothing was drawn for so long. Not requestIdleCallback: Safari has none, and Chromium may leave a page that draws nothing
 * waiting for a minute.
 */
const idleMillis = 2000;
/** So long is waited at most: somebody may post every second. */
const latestMillis = 60_000;

/** Resolves when the thread, if one is read, shows and is verified, and the page has come to rest, or after a minute. */
export function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const rest = (): void => {
      clearTimeout(timer);
      clearTimeout(latest);
      stop();
      drawn.disconnect();
      resolve();
    };
    const latest = setTimeout(rest, latestMillis);
    const wait = (): void => {
      clearTimeout(timer);
      const topic = current.value;
      if (route.value.screen === "thread" && (topic?.drawn.value !== true || topic.facts.value.unverified > 0)) return;
      timer = setTimeout(rest, idleMillis);
    };
    const drawn = new MutationObserver(wait);
    drawn.observe(document.body, { childList: true, subtree: true });
    const stop = effect(wait);
  });
}
