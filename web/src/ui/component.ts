// What components are here: functions that are drawn anew when a signal changes that they read while they were drawn, and
// otherwise only when what they are given changes. What they keep from one drawing to the next is counted through in
// order, so that each drawing asks for the same things.

import { computed, effect, type ReadonlySignal, type Signal, signal } from "../state/signals.ts";
import { drawing } from "./draw.ts";

/** What make gives, made anew when what it was given changes. */
export function useMemo<T>(make: () => T, given: readonly unknown[]): T {
  const { kept, next } = drawing;
  drawing.next++;
  const known = kept[next];
  if (known !== undefined && given.every((each, i) => each === known.given[i])) return known.value as T;
  const value = make();
  kept[next] = { value, given };
  return value;
}

/** What is the same object in all drawings. */
export function useRef<T>(value: T): { current: T };
export function useRef<T>(value: null): { current: T | null };
export function useRef<T>(value: T): { current: T } {
  return useMemo(() => ({ current: value }), []);
}

/** Does something once the drawing stands in the page, and again when what it was given changes; what that returns ends it. */
export function useEffect(act: () => (() => void) | void, given: readonly unknown[]): void {
  const { due, ends } = drawing;
  const one = useMemo(() => {
    const made: { end?: (() => void) | void } = {};
    ends.push(() => made.end?.());
    return made;
  }, []);
  useMemo(() => {
    due.push(() => {
      one.end?.();
      one.end = act();
    });
  }, given);
}

/** A signal of one component, as long as that is there. */
export function useSignal<T>(value: T): Signal<T> {
  return useMemo(() => signal(value), []);
}

/** What the function gives, which is asked again when a signal changes that it read. */
export function useComputed<T>(compute: () => T): ReadonlySignal<T> {
  const newest = useRef(compute);
  newest.current = compute;
  return useMemo(() => computed(() => newest.current()), []);
}

/** Does something once the drawing stands in the page, and again when a signal changes that it read. */
export function useSignalEffect(act: () => void): void {
  const newest = useRef(act);
  newest.current = act;
  useEffect(() => effect(() => newest.current()), []);
}
