// Time: everything that waits for others has an end.

import { Trouble } from "./reasons.ts";

export interface Deadline {
  readonly signal: AbortSignal;
  /** So long from now on, instead of what was left. */
  extend(millis: number): void;
  /** Ends the counting, not what goes on. */
  done(): void;
}

/** A signal that ends with another one, or after some time. */
export function deadline(parent: AbortSignal, millis: number): Deadline {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = (): void => controller.abort(parent.reason);
  const done = (): void => {
    clearTimeout(timer);
    parent.removeEventListener("abort", stop);
  };
  const extend = (more: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      done();
      controller.abort(new Trouble("timeout", `no answer for ${Math.round(more / 1000)} s`));
    }, more);
  };
  if (parent.aborted) stop();
  else {
    parent.addEventListener("abort", stop);
    extend(millis);
  }
  return { signal: controller.signal, extend, done };
}

/** Runs something that must end within some time. */
export async function within<T>(parent: AbortSignal, millis: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const end = deadline(parent, millis);
  try {
    // Not everything that takes a signal looks at it in time.
    return await until(end.signal, run(end.signal));
  } finally {
    end.done();
  }
}

/** A promise, or the signal's reason as soon as it ends. */
export function until<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** Waits, or less if the signal ends. */
export function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, millis);
    signal.addEventListener("abort", end);
  });
}

/** A time of about so long: pages that were opened at once should not ask at once. */
export function about(millis: number): number {
  return millis * (0.8 + 0.4 * Math.random());
}
