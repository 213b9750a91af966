// Search over what this browser holds. Nothing is asked of anybody.

import type { VNode } from "preact";
import { comment, thread } from "../strings/en.ts";
import { search as t } from "../strings/en-later.ts";
import type { Found } from "../workers/messages.ts";
import { openChannel } from "../workers/pool.ts";
import { useEffect, useRef, useSignal } from "./component.ts";
import { linkTo, titleOf } from "./forms.tsx";
import { ago } from "./when.ts";

/** Words are looked for when the typing pauses. */
const typeMillis = 200;

export function Search(): VNode {
  const words = useSignal("");
  const found = useSignal<readonly Found[]>([]);
  const done = useSignal(true);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => box.current?.focus(), []);
  useEffect(() => {
    if (words.value.trim() === "") {
      found.value = [];
      done.value = true;
      return undefined;
    }
    let close = (): void => undefined;
    const timer = setTimeout(() => {
      let first = true;
      done.value = false;
      const channel = openChannel((message) => {
        if (message.kind !== "found") return;
        found.value = first ? message.found : [...found.value, ...message.found];
        first = false;
        done.value = message.done;
      });
      channel.send({ kind: "search", session: channel.session, words: words.value });
      close = () => channel.close();
    }, typeMillis);
    return () => {
      clearTimeout(timer);
      close();
    };
  }, [words.value]);
  const some = words.value.trim() !== "";
  return (
    <main id="main" tabIndex={-1}>
      <h1 class="sr">{t.title}</h1>
      <form class="box" role="search" onSubmit={(event) => event.preventDefault()}>
        <input id="words" ref={box} type="search" dir="auto" aria-label={t.box} placeholder={t.box} value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} />
      </form>
      <p class="meta state" role="status">{!some ? "" : !done.value ? t.searching : found.value.length === 0 ? t.none : thread.comments(found.value.length)}</p>
      <ul class="plain results">
        {found.value.map(({ place, id, topic, user, text, date }) => (
          <li key={id}>
            <a href={linkTo(place, topic, id)}>
              <span class="meta"><bdi>{user || comment.unsigned}</bdi> · <bdi>{titleOf(place, topic)}</bdi>{date !== "" && <> · {ago(Date.parse(date))}</>}</span>
              <span class="excerpt" dir="auto">{text}</span>
            </a>
          </li>
        ))}
      </ul>
    </main>
  );
}
