// How many servers answer, for what is done only where there are few: other readers' pages are asked, and given to.

import { effect, signal } from "./signals.ts";
import { net, servers, working } from "./page.ts";

/** That there are few counts when it has been so for so long: servers are being looked for, or one was slow. */
const settleMillis = 8000;
/** In the beginning, that there is none, where none is being asked: who waits for the thread has not seen any of it. */
const soonMillis = 3000;

/** As many as answer; fewer than before only once that has lasted. Without end until the network was there for so long. */
export const answering = signal(Number.POSITIVE_INFINITY);

let timer: ReturnType<typeof setTimeout> | undefined;

export function startAnswering(): void {
  effect(() => {
    clearTimeout(timer);
    const now = working.value;
    if (net.value === undefined) return;
    const settle = (): void => void (answering.value = now);
    if (now >= answering.peek()) settle();
    else timer = setTimeout(() => {
      const isClear = now === 0 && answering.peek() === Number.POSITIVE_INFINITY && servers.peek().every(({ state }) => state !== "asking");
      if (isClear) settle();
      else timer = setTimeout(settle, settleMillis - soonMillis);
    }, soonMillis);
  });
}
