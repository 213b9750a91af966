// Help: what this is, and the keys.

import type { VNode } from "preact";
import { help as t } from "../strings/en-later.ts";

export function Help(): VNode {
  return (
    <main id="main" class="prose" tabIndex={-1}>
      <h1>{t.title}</h1>
      {t.sections.map(([title, texts]) => (
        <section key={title}>
          <h2>{title}</h2>
          {texts.map((text) => <p key={text}>{text}</p>)}
        </section>
      ))}
      <section>
        <h2>{t.keys}</h2>
        <dl class="keys">
          {t.keyList.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}
        </dl>
      </section>
    </main>
  );
}
