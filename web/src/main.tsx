// The page's beginning. What is drawn first waits for nothing but the reader's language: the network, the database and what
// is remembered of the reader come to it.

import { effect } from "./state/signals.ts";
import { speakLanguage } from "./state/language.ts";
import { loadMe } from "./state/me.ts";
import { applyLooks } from "./state/looks.ts";
import { keeping, net, route, startNet, startPage } from "./state/page.ts";
import { App } from "./ui/app.tsx";
import { render } from "./ui/draw.ts";
import { threadWorker } from "./workers/pool.ts";
import { role } from "./workers/role.ts";
import { readTopics } from "./workers/thread.ts";

/** It comes by then, whatever the first comments do. */
const networkMillis = 1500;

function begin(): void {
  applyLooks();
  void speakLanguage().then(() => render(<App />, document.getElementById("page") as HTMLElement));
  threadWorker();
  const ready = loadMe().catch(() => undefined);
  void startPage();
  // A topic's first comments are read without the network; all else needs it.
  setTimeout(() => void startNet(), route.peek().screen === "thread" ? networkMillis : 0);
  effect(() => {
    if (net.value !== undefined) void import("./ui/besides.ts").then(({ begin }) => begin()).catch(() => undefined);
  });
  // What is done besides comes when there is time for it; what waits to be sent is shown with the rest.
  void ready.then(async () => {
    const waiting = await (await keeping).list("outbox").catch(() => []);
    setTimeout(() => void import("./state/background.ts").then(({ startBackground }) => startBackground()).catch(() => undefined), waiting.length > 0 ? 0 : 3000);
  });
}

if (role === "thread") readTopics();
else if (role === "") begin();
