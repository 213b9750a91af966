// What this browser keeps of what was read: how much, of how much at most, and how it is cleared.

import type { VNode } from "preact";
import { forgetTopics, keptTopics, maxKept } from "../keep/topics.ts";
import { dropCopy } from "../state/copy.ts";
import { people } from "../state/me.ts";
import { keeping, looked, tell } from "../state/page.ts";
import { forgetKey } from "../state/write.ts";
import { storage as t, you } from "../strings/en-later.ts";
import { number } from "../strings/spoken.ts";
import { useEffect, useSignal } from "./component.ts";
import { Check } from "./forms.tsx";

export function Storage(): VNode {
  const stored = useSignal<{ bytes: number; topics: number; lasting: boolean; all: number } | undefined>(undefined);
  const names = useSignal(false);
  async function count(): Promise<void> {
    const keep = await keeping;
    // Not on http:// addresses.
    const { storage } = navigator as { readonly storage?: StorageManager };
    const [all, estimate] = await Promise.all([keptTopics(keep), storage?.estimate().catch(() => undefined)]);
    stored.value = { bytes: all.reduce((sum, [, { bytes }]) => sum + bytes, 0), topics: all.filter(([, { bytes }]) => bytes > 0).length, lasting: keep.lasting, all: estimate?.usage ?? 0 };
  }
  useEffect(() => void count().catch(() => undefined), []);
  async function clear(event: Event): Promise<void> {
    event.preventDefault();
    await forgetTopics(await keeping);
    await dropCopy();
    if (names.value) for (const who of people.peek()) await forgetKey(who);
    names.value = false;
    looked.value++;
    await count();
    tell({ text: t.cleared, lasts: 3000 });
  }
  const now = stored.value;
  return (
    <section>
      <h2>{t.title}</h2>
      {now !== undefined && <p>{now.lasting ? t.stored(size(now.bytes), size(maxKept), now.topics) : t.notLasting} {now.lasting && now.all > 0 && t.all(size(now.all))}</p>}
      {now?.lasting && (
        <details>
          <summary>{t.clear}</summary>
          <form onSubmit={(event) => void clear(event)}>
            <p>{t.what}</p>
            <p><Check on={names.value} set={(on) => (names.value = on)}>{t.names}</Check></p>
            {names.value && <p class="error">{t.namesGone}</p>}
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
