// You: names, lists, who is muted, how the page looks, what it keeps.

import type { VNode } from "preact";
import { choose, mute, setActive, setLooks } from "../state/choices.ts";
import { type Me, me, muted, notifies, people } from "../state/me.ts";
import { keptChoice, looks } from "../state/looks.ts";
import { setNotifies } from "../state/notify.ts";
import { tell } from "../state/page.ts";
import { seedOfWords } from "../state/words.ts";
import { addKey, changeKey, forgetKey, makeKey } from "../state/write.ts";
import { compose, keepName, lists, menu, storage, you as t } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { unsealInWorker } from "../workers/working.ts";
import { KeepName, wordlist } from "./keepname.tsx";
import { Lists } from "./lists.tsx";
import { mark, shortKey } from "./mark.tsx";
import { useSignal } from "./component.ts";
import { Check, Choice, who } from "./forms.tsx";
import { Storage } from "./storage.tsx";
import { Outbox } from "./waits.tsx";

export function You(): VNode {
  const keeps = useSignal<Me | undefined>(undefined);
  return (
    <main id="main" class="prose" tabIndex={-1}>
      <h1>{t.title}</h1>
      <Outbox />
      <section>
        <h2>{t.names}</h2>
        {people.value.length === 0 && <p class="meta">{t.noNames}</p>}
        <ul class="plain people">
          {people.value.map((each) => <li key={each.key}><Person person={each} keep={() => (keeps.value = each)} /></li>)}
        </ul>
        <p><button onClick={() => void makeKey("")}>{t.add}</button></p>
        <Bring />
      </section>
      <Lists />
      <Muted />
      <Looks />
      <Storage />
      {keeps.value !== undefined && <KeepName who={keeps.value} close={() => (keeps.value = undefined)} />}
    </main>
  );
}

function Person({ person, keep }: { readonly person: Me; readonly keep: () => void }): VNode {
  const { key, kept } = person;
  const isUsed = me.value?.key === key;
  return (
    <>
      <p class="line">
        {mark(key)}
        <input dir="auto" aria-label={t.name} value={kept.name} placeholder={compose.noName} maxLength={48} onChange={(event) => void changeKey(person, { name: shownName(event.currentTarget.value) })} />
      </p>
      <p class="line meta">
        <code class="key">{shortKey(key)}</code>
        {isUsed ? <span>{lists.used}</span> : <button class="link" onClick={() => setActive(key)}>{t.use}</button>}
        <span class={kept.saved ? "" : "warn"}>{kept.saved ? t.kept : t.notKept}</span>
        <button class="link" onClick={keep}>{keepName.title}</button>
        <button class="link error" onClick={() => { if (confirm(storage.namesGone)) void forgetKey(person); }}>{t.forget}</button>
      </p>
    </>
  );
}

function Bring(): VNode {
  const words = useSignal("");
  const pass = useSignal("");
  const file = useSignal<File | undefined>(undefined);
  const said = useSignal("");
  async function bring(event: Event): Promise<void> {
    event.preventDefault();
    const list = await wordlist();
    if (list === undefined) return;
    let text = words.value;
    if (file.value !== undefined) {
      const opened = await unsealInWorker(new Uint8Array(await file.value.arrayBuffer()), pass.value).catch(() => undefined);
      if (opened === undefined) {
        said.value = t.notFile;
        return;
      }
      text = opened;
    }
    const seed = seedOfWords(text, list);
    if (seed === undefined) {
      said.value = t.notWords;
      return;
    }
    await addKey(seed, "", true);
    words.value = pass.value = "";
    file.value = undefined;
    said.value = t.brought;
  }
  return (
    <details>
      <summary>{t.bring}</summary>
      <form onSubmit={(event) => void bring(event)}>
        <label for="bring-words">{t.words}</label>
        <textarea id="bring-words" rows={3} dir="ltr" autocapitalize="off" autocomplete="off" spellcheck={false} value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} />
        <label for="bring-file">{t.file}</label>
        <input id="bring-file" type="file" onChange={(event) => (file.value = event.currentTarget.files?.[0])} />
        {file.value !== undefined && <input type="password" dir="auto" autocomplete="current-password" aria-label={keepName.passphrase} placeholder={keepName.passphrase} value={pass.value} onInput={(event) => (pass.value = event.currentTarget.value)} />}
        <p class="line"><button class="primary" disabled={words.value.trim() === "" && file.value === undefined}>{t.bringIt}</button> <span class="meta" role="status">{said.value}</span></p>
      </form>
    </details>
  );
}

function Muted(): VNode {
  return (
    <section>
      <h2>{t.muted}</h2>
      {muted.value.length === 0 ? <p class="meta">{t.noMuted}</p> : (
        <ul class="plain">{muted.value.map((key) => (
          <li key={key} class="line">{who(key)} <button class="link" onClick={() => mute(key, false)}>{menu.unmute}</button></li>
        ))}</ul>
      )}
    </section>
  );
}

/** Each in its own words. */
const languages = [["en", "English"], ["de", "Deutsch"], ["ar", "العربية"]] as const;

function Looks(): VNode {
  return (
    <section>
      <h2>{t.looks}</h2>
      <Choice label={t.theme} value={looks.value} options={[["auto", t.auto], ["light", t.light], ["dark", t.dark]]} set={setLooks} />
      <Choice label={t.language} value={keptChoice("language")} options={[["", t.auto], ...languages.map(([tag, name]) => [tag, name, tag] as const)]} set={setLanguage} />
      {"Notification" in globalThis && (
        <p><Check on={notifies.value} set={(on) => void setNotifies(on)}>{t.notify}</Check></p>
      )}
    </section>
  );
}

function setLanguage(next: string): void {
  if (choose("language", next)) location.reload();
  else tell({ text: storage.notLasting, lasts: 6000 });
}
