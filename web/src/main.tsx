// The page's beginning. What is drawn first waits for nothing: the network, the database and what is remembered of the
// reader come to it.

import { effect } from "@preact/signals";
import { render } from "preact";
import { loadMe } from "./state/me.ts";
import { applyLooks } from "./state/looks.ts";
import { startPage, working } from "./state/page.ts";
import { App } from "./ui/app.tsx";
import { onKey } from "./ui/keys.ts";
import { warmUp } from "./workers/pool.ts";

applyLooks();
warmUp();
const ready = loadMe().catch(() => undefined);
render(<App />, document.getElementById("page") as HTMLElement);
document.addEventListener("keydown", onKey);
void startPage();
// What was left to send is sent when there is time for it, and whenever a server answers again.
void ready.then(() =>
  setTimeout(() => {
    effect(() => {
      if (working.value > 0) void import("./state/write.ts").then(({ sendWaiting }) => sendWaiting()).catch(() => undefined);
    });
    void import("./state/background.ts").then(({ startBackground }) => startBackground()).catch(() => undefined);
  }, 3000),
);
