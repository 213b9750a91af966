// How many servers answer, for what is done only where there are few: other readers' pages are asked, and given to.

import { effect, signal } from "./signals.ts";
import { net, working } from "./page.ts";

/** That there are few counts when it has been so for so long: servers are being looked for, or one was slow. */
const settleMillis = 8000;

/** As many as answer; fewer than before only once that has lasted. Without end until the network was there for so long. */
export const answering = signal(Number.POSITIVE_INFINITY);

let timer: ReturnType<typeof setTimeout> | undefined;

export function startAnswering(): void {
  effect(() => {
    clearTimeout(timer);
    const now = working.value;
    if (net.value === undefined) return;
    if (now >= answering.peek()) answering.value = now;
    else timer = setTimeout(() => (answering.value = now), settleMillis);
  });
}
