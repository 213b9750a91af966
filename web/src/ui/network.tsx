// What the page reads from, in words; numbers and addresses under Details.

import type { VNode } from "preact";
import type { Carrier, ServerView } from "../net/net.ts";
import { canonicalOrigin } from "../protocol/hello.ts";
import { helped, helping, setHelping } from "../state/helping.ts";
import { net, online, panel, servers, working } from "../state/page.ts";
import { type Sharing, sharings } from "../state/sharing.ts";
import { page } from "../strings/en.ts";
import { away, network as t } from "../strings/en-later.ts";
import { current } from "./app.tsx";
import { useEffect, useRef, useSignal } from "./component.ts";
import { size } from "./storage.tsx";
import { ago } from "./when.ts";

export function Network(): VNode {
  // It is closed, and goes by that: one that only goes does not give the focus back.
  const dialog = useRef<HTMLDialogElement>(null);
  const address = useSignal("");
  const said = useSignal("");
  useEffect(() => {
    const box = dialog.current as HTMLDialogElement;
    box.showModal();
    const shut = (event: MouseEvent): void => {
      // What lies over the page takes clicks on the page, too.
      if (event.target === box) box.close();
    };
    box.addEventListener("click", shut);
    return () => box.removeEventListener("click", shut);
  }, []);
  const topic = current.value;
  // Told of with the servers.
  const trackers = (servers.value, net.value?.trackers() ?? []);
  const given = helped.value;
  const ipfs = net.value?.ipfs();
  const { agree, asked } = topic?.agreement.value ?? { agree: 0, asked: 0 };

  async function add(event: Event): Promise<void> {
    event.preventDefault();
    const text = address.value.trim();
    const origin = canonicalOrigin(/^https?:\/\//i.test(text) ? text.replace(/\/+$/, "") : `${guess(text)}://${text.replace(/\/+$/, "")}`);
    if (origin === undefined) {
      said.value = t.notAddress;
      return;
    }
    said.value = t.adding;
    const view = await net.peek()?.add(origin).catch(() => undefined);
    const answers = view?.state === "working";
    said.value = answers ? t.added : t.notAdded;
    if (!answers) return;
    address.value = "";
    topic?.retry();
  }

  return (
    <dialog ref={dialog} class="side" aria-labelledby="network" onClose={() => (panel.value = undefined)}>
      <header>
        <h2 id="network">{t.title}</h2>
        <button class="icon shut" aria-label={page.close} title={page.close} onClick={() => dialog.current?.close()} />
      </header>
      <p>{!online.value ? away.offline : asked > 0 ? (agree === asked ? t.agree(asked) : t.differ(agree, asked)) : working.value > 0 ? t.agree(working.value) : given?.pages ? t.pages(given.pages) : ipfs?.got ? t.ipfs : t.none}</p>
      {given !== undefined && given.given > 0 && <p>{t.helping(given.readers, size(given.given), size(given.most))}</p>}
      <ul class="plain servers">
        {servers.value.map((server) => <li key={server.id}><Server server={server} /></li>)}
      </ul>
      <form class="add" onSubmit={(event) => void add(event)}>
        <label for="address">{t.addLabel}</label>
        <div class="box">
          <input id="address" type="text" dir="ltr" inputMode="url" autocapitalize="off" autocomplete="url" spellcheck={false} placeholder={t.addPlace} value={address.value} onInput={(event) => (address.value = event.currentTarget.value)} />
          <button class="primary" disabled={address.value.trim() === ""}>{t.add}</button>
        </div>
        <p class="meta" role="status">{said.value}</p>
      </form>
      <p>
        <label>
          {t.help}{" "}
          <select value={helping.value} onChange={(event) => setHelping(event.currentTarget.value as Sharing)}>
            {sharings.map((each) => <option key={each} value={each}>{t.helps[each]}</option>)}
          </select>
        </label>
      </p>
      <p class="meta">{t.helpNote}</p>
      <details>
        <summary>{t.details}</summary>
        <dl class="facts">
          {topic !== undefined && <><dt>{t.community}</dt><dd><code>{topic.place.community}</code></dd><dt>{t.topic}</dt><dd><code>{topic.place.topic}</code></dd></>}
          {ipfs !== undefined && <><dt>{t.ipfsTitle}</dt><dd>{t.ipfsFacts(ipfs.peers, ipfs.got, ipfs.given)}</dd></>}
          {trackers.length > 0 && <dt>{t.trackers}</dt>}
          {trackers.map(({ url, state, found, reason }) => (
            <dd key={url}>
              <bdi>{url}</bdi> <span class="meta">{[t[state], found > 0 ? t.led(found) : "", state === "failed" && reason !== undefined ? t.reasons[reason.code] : ""].filter((part) => part !== "").join(" · ")} {quoted(reason)}</span>
            </dd>
          ))}
        </dl>
      </details>
    </dialog>
  );
}

/** In others' words, which may be none, and are English. */
function quoted(reason: { readonly detail: string } | undefined): VNode | null {
  return reason === undefined || reason.detail === "" ? null : <q lang="en" dir="auto">{reason.detail}</q>;
}

/** Names have certificates; addresses mostly have none. */
function guess(text: string): "http" | "https" {
  return /^(\d+\.\d+\.\d+\.\d+|\[|localhost)/.test(text) ? "http" : "https";
}

function Server({ server }: { readonly server: ServerView }): VNode {
  const { id, origin, state, carrier, foundBy, answered, took, reason, missed, contact } = server;
  const over = (by: Carrier): string => t.carriers[by === "http" && origin?.startsWith("https:") === true ? "https" : by];
  const how = [state === "asking" ? t.asking : t[state], state === "working" && carrier !== undefined ? over(carrier) : "", t.found[foundBy]];
  const ways = missed.filter(({ carrier: by }) => state !== "working" || by !== carrier).map(({ carrier: by, reason: why }) => <p class="meta" key={by}>{t.missed(over(by), t.reasons[why.code])}</p>);
  return (
    <>
      <p><span class={state === "working" ? "dot ok" : state === "asking" || state === "unused" ? "dot" : "dot warn"} /> <bdi class="name">{origin?.replace(/^https?:\/\//, "") ?? id.slice(0, 12)}</bdi></p>
      <p class="meta">{how.filter((part) => part !== "").join(" · ")}</p>
      {answered !== undefined && took !== undefined && <p class="meta">{t.answered(ago(answered, Date.now()), took)}</p>}
      {state !== "working" && reason !== undefined && <p class="meta warn">{t.reasons[reason.code]}</p>}
      {state === "working" && ways}
      <details>
        <summary>{t.details}</summary>
        <dl class="facts">
          {origin !== undefined && <><dt>{t.address}</dt><dd><code>{origin}</code></dd></>}
          {/^[0-9a-f]{64}$/.test(id) && <><dt>{t.key}</dt><dd><code>{id}</code></dd></>}
          {contact !== "" && <><dt>{t.contact}</dt><dd><bdi>{contact}</bdi></dd></>}
          {reason !== undefined && <dd class="meta">{quoted(reason)}</dd>}
          {state !== "working" && ways.length > 1 && <dd>{ways}</dd>}
        </dl>
      </details>
    </>
  );
}
