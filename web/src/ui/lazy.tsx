// Parts of the page that come when they are needed. One that does not come, because the page was replaced by a newer
// one meanwhile, is said so.

import type { ComponentChildren, ComponentType, VNode } from "preact";
import { useEffect, useState } from "preact/hooks";
import { loader } from "../state/page.ts";

export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P & { readonly meanwhile?: ComponentChildren }> {
  const once = loader(load);
  return function Lazy(props): VNode | null {
    const [part, setPart] = useState<{ readonly Part: ComponentType<P> | undefined }>();
    useEffect(() => {
      void once().then((Part) => setPart({ Part }));
    }, []);
    const Part = part?.Part;
    return Part === undefined ? <>{props.meanwhile ?? null}</> : <Part {...props} />;
  };
}
