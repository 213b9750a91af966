// What this browser keeps of what was read: how much, of how much at most, and how it is cleared.

import type { VNode } from "preact";
import { forgetTopics, keptTopics, maxKept } from "../keep/topics.ts";
import { dropCopy } from "../state/copy.ts";
import { keeping, looked, tell } from "../state/page.ts";
import { storage as t, you } from "../strings/en-later.ts";
import { number } from "../strings/spoken.ts";
import { useEffect, useSignal } from "./component.ts";

export function Storage(): VNode {
  const stored = useSignal("");
  const lasting = useSignal(false);
  async function count(): Promise<void> {
    const keep = await keeping;
    const sizes = (await keptTopics(keep)).flatMap(([, { bytes }]) => (bytes > 0 ? [bytes] : []));
    lasting.value = keep.lasting;
    stored.value = keep.lasting ? t.stored(size(sizes.reduce((sum, each) => sum + each, 0)), size(maxKept), sizes.length) : t.notLasting;
  }
  useEffect(() => void count().catch(() => undefined), []);
  async function clear(event: Event): Promise<void> {
    event.preventDefault();
    await forgetTopics(await keeping);
    await dropCopy();
    looked.value++;
    await count();
    tell({ text: t.cleared, lasts: 3000 });
  }
  return (
    <section>
      <h2>{t.title}</h2>
      <p>{stored.value}</p>
      {lasting.value && (
        <details>
          <summary>{t.clear}</summary>
          <form onSubmit={(event) => void clear(event)}>
            <p>{t.what}</p>
            <p class="line"><button class="primary">{you.forget}</button></p>
          </form>
        </details>
      )}
    </section>
  );
}

export function size(bytes: number): string {
  const unit = bytes < 1e6 ? ["kilobyte", 1e3] as const : ["megabyte", 1e6] as const;
  return number(bytes / unit[1], { style: "unit", unit: unit[0], maximumFractionDigits: 1 });
}
