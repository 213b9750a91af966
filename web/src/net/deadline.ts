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
  const forget = atEnd(parent, () => controller.abort(parent.reason));
  const done = (): void => {
    clearTimeout(timer);
    forget();
  };
  const extend = (more: number): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      done();
      controller.abort(new Trouble("timeout", `no answer for ${Math.round(more / 1000)} s`));
    }, more);
  };
  if (!parent.aborted) extend(millis);
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

/**
 * Tries ways to the same thing: each a head start after the one before it, or as soon as all before it have failed. The
 * first that arrives ends the others; what another brings all the same is spare. If all fail, the first one's error.
 */
export async function race<T>(ways: readonly ((signal: AbortSignal) => Promise<T>)[], headStartMillis: number, parent: AbortSignal, spare: (value: T) => void): Promise<T> {
  const over = new AbortController();
  const forget = atEnd(parent, () => over.abort(parent.reason));
  const errors: unknown[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await until(
      parent,
      new Promise<T>((resolve, reject) => {
        let begun = 0;
        let failed = 0;
        const begin = (): void => {
          clearTimeout(timer);
          const way = ways[begun];
          if (way === undefined || over.signal.aborted) return;
          const mine = begun++;
          if (begun < ways.length) timer = setTimeout(begin, headStartMillis);
          way(over.signal).then(
            (value) => {
              if (over.signal.aborted) return spare(value);
              over.abort();
              resolve(value);
            },
            (error: unknown) => {
              errors[mine] = error;
              if (++failed === ways.length) reject(errors[0]);
              else if (failed === begun) begin();
            },
          );
        };
        begin();
      }),
    );
  } finally {
    clearTimeout(timer);
    over.abort();
    forget();
  }
}

/** Acts when a signal ends, now if it has. Returns what has it not act any more. */
export function atEnd(signal: AbortSignal | undefined, act: () => void): () => void {
  if (signal?.aborted === true) act();
  else signal?.addEventListener("abort", act, { once: true });
  return () => signal?.removeEventListener("abort", act);
}

/** A promise, or the signal's reason as soon as it ends. */
export function until<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const forget = atEnd(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(forget);
  });
}

/** Waits, or less if the signal ends. */
export async function pause(millis: number, signal: AbortSignal): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await until(signal, new Promise<void>((resolve) => (timer = setTimeout(resolve, millis)))).catch(() => undefined);
  clearTimeout(timer);
}

/** A time of about so long: pages that were opened at once should not ask at once. */
export function about(millis: number): number {
  return millis * (0.8 + 0.4 * Math.random());
}
