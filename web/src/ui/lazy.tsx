// Parts of the page that come when they are needed. One that does not come, because the page was replaced by a newer
// one meanwhile, is said so.

import type { ComponentChildren, ComponentType, VNode } from "preact";
import { useEffect } from "preact/hooks";
import { loader } from "../state/page.ts";
import { useSignal } from "./signals.ts";

/** The style of all that is not there at first. */
export const laterStyle = loader(
  () =>
    new Promise<void>((resolve, reject) => {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = new URL("later.css", import.meta.url).href;
      link.onload = () => resolve();
      link.onerror = reject;
      document.head.append(link);
    }),
);

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P & { readonly meanwhile?: ComponentChildren }> {
  const once = loader(load);
  return function Lazy(props): VNode | null {
    const part = useSignal<{ readonly Part: ComponentType<P> | undefined } | undefined>(undefined);
    useEffect(() => {
      void Promise.all([once(), laterStyle()]).then(([Part]) => (part.value = { Part }));
    }, []);
    const Part = part.value?.Part;
    return Part === undefined ? <>{props.meanwhile ?? null}</> : <Part {...props} />;
  };
}
