// When there is time for what nobody waits for.

import { current } from "../ui/app.tsx";
import { route } from "./page.ts";
import { effect } from "./signals.ts";

/**
 * Nothing was drawn for so long. Not requestIdleCallback: Safari has none, and Chromium may leave a page that draws nothing
 * waiting for a minute.
 */
const idleMillis = 2000;

/** Resolves when the thread, if one is read, shows and is verified, and the page has come to rest. */
export function whenIdle(): Promise<void> {
  return new Promise((resolve) => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = (): void => {
      clearTimeout(timer);
      const topic = current.value;
      if (route.value.screen === "thread" && (topic?.drawn.value !== true || topic.facts.value.unverified > 0)) return;
      timer = setTimeout(() => {
        stop();
        drawn.disconnect();
        resolve();
      }, idleMillis);
    };
    const drawn = new MutationObserver(wait);
    drawn.observe(document.body, { childList: true, subtree: true });
    const stop = effect(wait);
  });
}
