// What the page says, for scripts that look for it.

import { build } from "esbuild";

const { outputFiles: [bundle] } = await build({
  stdin: {
    contents: 'export * as first from "./en.ts"; export * as later from "./en-later.ts"; export * as de from "./de.ts"; export * as ar from "./ar.ts"; export { setLocale } from "./spoken.ts";',
    resolveDir: new URL("../src/strings", import.meta.url).pathname,
  },
  bundle: true, format: "iife", globalName: "strings", write: false,
});

/** The words of a locale's language, with its numbers, and which way it is written: dir. */
export function stringsOf(locale) {
  const { first, later, setLocale, ...others } = new Function(`${bundle.text}; return strings`)();
  setLocale(locale);
  const { dir, words } = others[locale.split("-")[0]] ?? { dir: "ltr", words: Object.fromEntries(Object.entries({ ...first, ...later }).filter(([, each]) => typeof each === "object")) };
  return { dir, ...words };
}
