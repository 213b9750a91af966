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
      {([[t.keys, t.keyList], [t.desk, t.deskList]] as const).map(([title, list]) => (
        <section key={title}>
          <h2>{title}</h2>
          <dl class="keys">
            {list.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}
          </dl>
        </section>
      ))}
    </main>
  );
}
