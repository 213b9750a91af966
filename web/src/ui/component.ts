// What components are here: functions that are drawn anew when a signal changes that they read while they were drawn, and
// otherwise only when what they are given changes. What they keep from one drawing to the next is counted through in
// order, so that each drawing asks for the same things.

import { computed, effect, type ReadonlySignal, type Signal, signal } from "../state/signals.ts";
import { Component, type ComponentChildren, type ComponentType, Fragment, type FunctionComponent, options } from "preact";

/** Something kept, for as long as what it was made for is the same. */
interface Kept {
  value: unknown;
  readonly given: readonly unknown[];
}

interface Drawer {
  readonly kept: Kept[];
  /** What is to be done once the drawing stands in the page. */
  readonly due: (() => void)[];
  next: number;
}

/** The component that is being drawn. */
let drawing: Drawer;

const drawers = new WeakMap<object, ComponentType>();

/** The component that draws what a function says. */
function drawerOf(draw: FunctionComponent<object>): ComponentType {
  let known = drawers.get(draw);
  if (known === undefined) {
    known = class extends Component<object> implements Drawer {
      readonly kept: Kept[] = [];
      readonly due: (() => void)[] = [];
      next = 0;
      private forget: (() => void) | undefined;

      override render(props: object): ComponentChildren {
        this.forget?.();
        let drawn: ComponentChildren;
        let isFirst = true;
        this.forget = effect(() => {
          if (!isFirst) return this.forceUpdate();
          isFirst = false;
          drawing = this;
          this.next = 0;
          drawn = draw(props);
        });
        return drawn;
      }

      override shouldComponentUpdate(next: object): boolean {
        const [now, then] = [Object.entries(this.props), Object.entries(next)];
        return now.length !== then.length || then.some(([name, value]) => (this.props as Record<string, unknown>)[name] !== value);
      }

      override componentDidMount(): void {
        for (const act of this.due.splice(0)) act();
      }

      override componentDidUpdate(): void {
        this.componentDidMount();
      }

      override componentWillUnmount(): void {
        this.forget?.();
        for (const { value } of this.kept) if (value instanceof Effect) value.end?.();
      }
    };
    drawers.set(draw, known);
  }
  return known;
}

options.vnode = (node) => {
  const { type } = node;
  if (typeof type === "function" && type !== Fragment && !("render" in ((type.prototype as object | undefined) ?? {}))) node.type = drawerOf(type as FunctionComponent<object>);
};

/** Something done, and how it is undone. */
class Effect {
  end: (() => void) | void = undefined;
}

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
  const one = useMemo(() => new Effect(), []);
  const { due } = drawing;
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
