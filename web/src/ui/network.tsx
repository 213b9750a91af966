// What the page reads from, in words; numbers and addresses under Details.

import type { VNode } from "preact";
import type { Carrier, ServerView } from "../net/net.ts";
import { canonicalOrigin } from "../protocol/hello.ts";
import { helped, helping, setHelping } from "../state/helping.ts";
import { net, online, panel, servers, working } from "../state/page.ts";
import { sharings } from "../state/sharing.ts";
import { thread } from "../strings/en.ts";
import { away, network as t } from "../strings/en-later.ts";
import { current } from "./app.tsx";
import { Choice, Dialog, Field, joined, quoted } from "./forms.tsx";
import { size } from "./storage.tsx";
import { ago } from "./when.ts";

export function Network(): VNode {
  const topic = current.value;
  // Told of with the servers.
  const trackers = (servers.value, net.value?.trackers() ?? []);
  const given = helped.value;
  const ipfs = net.value?.ipfs();
  const { agree, asked } = topic?.agreement.value ?? { agree: 0, asked: 0 };

  async function add(typed: string): Promise<string> {
    const text = typed.replace(/\/+$/, "");
    const origin = canonicalOrigin(/^https?:\/\//i.test(text) ? text : `${guess(text)}://${text}`);
    if (origin === undefined) return t.reasons["bad-address"];
    const view = await net.peek()?.add(origin).catch(() => undefined);
    if (view?.state !== "working") return t.notAdded;
    topic?.retry();
    return "";
  }

  return (
    <Dialog kind="side" title={t.title} close={() => (panel.value = undefined)}>
      <p>{!online.value ? away.offline : asked > 0 ? (agree === asked ? t.agree(asked) : t.differ(agree, asked)) : working.value > 0 ? t.agree(working.value) : given?.pages ? t.pages(given.pages) : ipfs?.got ? t.ipfs : t.none}</p>
      {given !== undefined && given.given > 0 && <p>{t.helping(given.readers, size(given.given), size(given.most))}</p>}
      <ul class="plain servers">
        {servers.value.map((server) => <li key={server.id}><Server server={server} /></li>)}
      </ul>
      <Field label={t.addLabel} go={thread.addServer} act={add} />
      <Choice label={t.help} value={helping.value} options={sharings.map((each) => [each, t.helps[each]])} set={setHelping} />
      <p class="meta">{t.helpNote}</p>
      {details([
        [t.community, topic && <code>{topic.place.community}</code>],
        [t.topic, topic && <code>{topic.place.topic}</code>],
        [t.ipfsTitle, ipfs && t.ipfsFacts(ipfs.peers, ipfs.got, ipfs.given)],
        ...trackers.map(({ url, state, found, reason }, i) => [i === 0 && t.trackers, (
          <>
            {url} <span class="meta">{joined([t[state], found > 0 ? t.led(found) : "", state === "failed" && reason !== undefined ? t.reasons[reason.code] : ""])} {reason?.detail && quoted(reason.detail)}</span>
          </>
        )] as const),
      ])}
    </Dialog>
  );
}

/** What is known besides, each under its name; what is not known is left out. */
function details(facts: readonly (readonly [name: string | false, fact: VNode | string | false | undefined])[]): VNode {
  return (
    <details>
      <summary>{t.details}</summary>
      <dl class="facts">{facts.map(([name, fact]) => fact && <>{name && <dt>{name}</dt>}<dd><bdi>{fact}</bdi></dd></>)}</dl>
    </details>
  );
}

/** Names have certificates; addresses mostly have none. */
function guess(text: string): "http" | "https" {
  return /^(\d+\.\d+\.\d+\.\d+|\[|localhost)/.test(text) ? "http" : "https";
}

function Server({ server }: { readonly server: ServerView }): VNode {
  const { id, origin, state, carrier, foundBy, answered, took, reason, missed, contact } = server;
  const isUsed = state === "working";
  const over = (by: Carrier): string => t.carriers[by === "http" && origin?.startsWith("https:") === true ? "https" : by];
  const ways = missed.filter(({ carrier: by }) => !isUsed || by !== carrier).map(({ carrier: by, reason: why }) => <p class="meta" key={by}>{t.missed(over(by), t.reasons[why.code])}</p>);
  return (
    <>
      <p><span class={isUsed ? "dot ok" : state === "asking" || state === "unused" ? "dot" : "dot warn"} /> <bdi class="name">{origin?.replace(/^https?:\/\//, "") ?? id.slice(0, 12)}</bdi></p>
      <p class="meta">{joined([t[state], isUsed && carrier !== undefined ? over(carrier) : "", t.found[foundBy]])}</p>
      {answered !== undefined && took !== undefined && <p class="meta">{t.answered(ago(answered), took)}</p>}
      {!isUsed && reason !== undefined && <p class="meta warn">{t.reasons[reason.code]}</p>}
      {isUsed && ways}
      {details([
        [t.address, origin && <code>{origin}</code>],
        [t.key, /^[0-9a-f]{64}$/.test(id) && <code>{id}</code>],
        [t.contact, contact],
        [false, reason?.detail && quoted(reason.detail)],
        [false, !isUsed && ways.length > 1 && <>{ways}</>],
      ])}
    </>
  );
}
