// What is said where no server is reached, or nothing can be read: how old is what is shown, and what can be done.

import type { VNode } from "preact";
import { keptTopic } from "../keep/topics.ts";
import { keeping, net, online, panel, servers } from "../state/page.ts";
import type { Topic } from "../state/topic.ts";
import { thread } from "../strings/en.ts";
import { away as t, compose } from "../strings/en-later.ts";
import { isBroken, restart } from "../workers/pool.ts";
import { around } from "./around.tsx";
import { useEffect, useSignal } from "./component.ts";
import { ago } from "./when.ts";

export function Away({ topic }: { readonly topic: Topic }): VNode {
  const seen = useSignal(0);
  useEffect(() => void keeping.then((keep) => keptTopic(keep, topic.place)).then((kept) => (seen.value = kept?.seen ?? 0), () => undefined), [topic]);
  const isAlone = !isBroken.value && online.value && net.value !== undefined && servers.value.length === 0;
  return (
    <p class="state meta" role="status">
      {isBroken.value ? t.broken : !online.value ? t.offline : isAlone ? t.noneFound : t.unreachable}{" "}
      {topic.sections.value.length > 0 && seen.value > 0 && <>{around(t.last, <time dateTime={new Date(seen.value).toISOString()}>{ago(seen.value)}</time>)}{" "}</>}
      <button class="link" onClick={() => (isAlone ? (panel.value = "network") : isBroken.value ? restart() : topic.retry())}>{isAlone ? thread.addServer : compose.retry}</button>
    </p>
  );
}
