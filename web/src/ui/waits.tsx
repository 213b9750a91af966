// What waits for a server: a line below each comment that does, and all of it on the reader's own screen.

import type { VNode } from "preact";
import { notes } from "../state/composing.ts";
import { type Item, outbox, takeBack, tryAgain, underWay } from "../state/outbox.ts";
import { effect } from "../state/signals.ts";
import { compose, waits as t } from "../strings/en-later.ts";
import { refusal } from "./forms.tsx";

/** Characters of a text that stand for it. */
const maxWords = 80;

export function showNotes(): void {
  effect(() => {
    const all = outbox.value.filter(({ at }) => !underWay.value.has(at));
    if (all.length + notes.peek().size > 0) notes.value = new Map(all.map((item) => [item.id, <p class="meta" role="status"><State item={item} /></p>]));
  });
}

function State({ item: { id, refused } }: { readonly item: Item }): VNode {
  return (
    <>
      {refused === undefined ? <span class="warn">{compose.waits}</span> : <><span class="error">{refusal(refused)}</span> <button class="link" onClick={() => void tryAgain(id)}>{compose.retry}</button></>}{" "}
      <button class="link" onClick={() => void takeBack(id)}>{t.back}</button>
    </>
  );
}

export function Outbox(): VNode | null {
  if (outbox.value.length === 0) return null;
  return (
    <section>
      <h2>{t.title}</h2>
      <ul class="plain people">
        {outbox.value.map((item) => {
          const { kind = "comment", body = "" } = item.draft ?? {};
          const words = kind === "comment" || kind === "edit" ? body.length > maxWords ? `${body.slice(0, maxWords)}…` : body : "";
          return <li key={item.id}><span>{t.kinds[kind] ?? t.kinds["hide"]}{words !== "" && <>: <bdi>{words}</bdi></>}</span> <span class="meta"><State item={item} /></span></li>;
        })}
      </ul>
    </section>
  );
}
