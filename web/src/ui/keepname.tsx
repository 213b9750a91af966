// How a name outlives its browser: its words, or a file behind a passphrase.

import type { VNode } from "preact";
import { dismiss, type Me } from "../state/me.ts";
import { loader } from "../state/page.ts";
import { changeKey } from "../state/write.ts";
import { unpack, wordsOf } from "../state/words.ts";
import { keepName as t } from "../strings/en-later.ts";
import { sealInWorker } from "../workers/working.ts";
import { useSignal } from "./component.ts";
import { Dialog } from "./forms.tsx";

/** All words that there are. */
export const wordlist = loader(async () => unpack((await import("../state/wordlist.ts")).packed));

export interface KeepNameProps {
  readonly who: Me;
  /** Right after the first post. */
  readonly after?: boolean;
  readonly close: () => void;
}

export function KeepName({ who, after, close }: KeepNameProps): VNode {
  const shown = useSignal("");
  const pass = useSignal("");
  const said = useSignal("");

  /** Empty where they do not come, which is told. */
  async function words(): Promise<string> {
    const list = await wordlist();
    return list === undefined ? "" : wordsOf(who.kept.seed, list);
  }

  async function save(event: Event): Promise<void> {
    event.preventDefault();
    said.value = t.sealing;
    const text = await words();
    if (text === "") {
      said.value = "";
      return;
    }
    const sealed = await sealInWorker(`${text}\n`, pass.value);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([sealed], { type: "text/plain" }));
    link.download = `comntr-${who.key.slice(0, 12)}.age`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    said.value = t.saved;
    await changeKey(who, { saved: true });
  }

  return (
    <Dialog kind="sheet" title={t.title} close={close}>
      {after && <p>{t.after}</p>}
      <p>{t.text}</p>
      {shown.value !== "" ? (
        <ol class="words">{shown.value.split(" ").map((word, i) => <li key={i}><code>{word}</code></li>)}</ol>
      ) : (
        <p><button onClick={() => void words().then((all) => (shown.value = all))}>{t.show}</button></p>
      )}
      <form onSubmit={(event) => void save(event)}>
        <label for="pass">{t.file}</label>
        <div class="box">
          <input class="sr" type="text" autocomplete="username" aria-hidden="true" tabIndex={-1} readOnly value={who.key} />
          <input id="pass" type="password" dir="auto" autocomplete="new-password" placeholder={t.passphrase} value={pass.value} onInput={(event) => (pass.value = event.currentTarget.value)} />
          <button disabled={pass.value === "" || said.value === t.sealing}>{t.save}</button>
        </div>
        <p class="meta" role="status">{said.value}</p>
      </form>
      <p class="meta">{t.warning}</p>
      <form method="dialog" class="actions">
        <button onClick={() => dismiss("keep")}>{t.later}</button>
        <button class="primary" disabled={shown.value === "" && said.value !== t.saved} onClick={() => void changeKey(who, { saved: true })}>{t.done}</button>
      </form>
    </Dialog>
  );
}
