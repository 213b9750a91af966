// Parts of the page that come when they are needed. One that does not come, because the page was replaced by a newer
// one meanwhile, is said so.

import type { ComponentChildren, ComponentType, VNode } from "preact";
import { loader } from "../state/page.ts";
import { useEffect, useSignal } from "./component.ts";

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P & { readonly meanwhile?: ComponentChildren }> {
  const once = loader(load);
  return function Lazy(props): VNode | null {
    const part = useSignal<{ readonly Part: ComponentType<P> | undefined } | undefined>(undefined);
    useEffect(() => {
      void once().then((Part) => (part.value = { Part }));
    }, []);
    const Part = part.value?.Part;
    return Part === undefined ? <>{props.meanwhile ?? null}</> : <Part {...props} />;
  };
}
