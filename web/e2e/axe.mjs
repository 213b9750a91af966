// axe-core over what a page shows now, in both themes.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe has against what is shown: one line for each rule and theme. */
export async function violations(page) {
  const all = [];
  // An isolated world: the page's policy and its Trusted Types do not concern what only looks at it. When its session
  // ends a page that was set offline is online again.
  const session = await page.context().newCDPSession(page);
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id, worldName: "axe" });
  const run = async (expression) => (await session.send("Runtime.evaluate", { contextId: executionContextId, expression, awaitPromise: true, returnByValue: true })).result.value;
  await run(axe + "; undefined");
  for (const colorScheme of ["light", "dark"]) {
    // What fades in has its colours when it is there.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const found = await run("axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(' ')}`))");
    all.push(...(found ?? ["axe did not run"]).map((violation) => `${colorScheme}: ${violation}`));
  }
  await session.detach();
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
  return all;
}
