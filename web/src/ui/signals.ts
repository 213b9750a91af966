// Components that are drawn anew when a signal changes that they read while they were drawn, and otherwise only when what
// they are given changes. Their own signals are made here, too.

import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { Component, type ComponentChildren, type ComponentType, Fragment, type FunctionComponent, options } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";

/** The component that draws what a function says. */
const drawers = new WeakMap<object, ComponentType>();

function drawerOf(draw: FunctionComponent<object>): ComponentType {
  let known = drawers.get(draw);
  if (known === undefined) {
    known = class extends Component<object> {
      private end: (() => void) | undefined;

      override render(props: object): ComponentChildren {
        this.end?.();
        let drawn: ComponentChildren;
        let isFirst = true;
        this.end = effect(() => {
          if (isFirst) drawn = draw(props);
          else this.forceUpdate();
          isFirst = false;
        });
        return drawn;
      }

      override shouldComponentUpdate(next: object): boolean {
        const [now, then] = [Object.entries(this.props), Object.entries(next)];
        return now.length !== then.length || then.some(([name, value]) => (this.props as Record<string, unknown>)[name] !== value);
      }

      override componentWillUnmount(): void {
        this.end?.();
      }
    };
    drawers.set(draw, known);
  }
  return known;
}

const before = options.vnode;
options.vnode = (node) => {
  const { type } = node;
  if (typeof type === "function" && type !== Fragment && !("render" in (type.prototype as object))) node.type = drawerOf(type as FunctionComponent<object>);
  before?.(node);
};

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

/** Does something after the first drawing, and again when a signal changes that it read. */
export function useSignalEffect(act: () => void): void {
  const newest = useRef(act);
  newest.current = act;
  useEffect(() => effect(() => newest.current()), []);
}
