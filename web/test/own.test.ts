// What the service worker answers for.

import { expect, test } from "vitest";
import { ownFile } from "../src/workers/own.ts";

const here = "https://example.org/some/where/";
const dir = "0123456789ab";
const hash = "0123456789abcdef0123456789abcdef01234567";
const go = (url: string, mode: RequestMode = "cors", method = "GET") => ownFile(here, { url, mode, method });

test.each<[string, RequestMode, string | undefined]>([
  [here, "navigate", "index"],
  [`${here}#/reddit/news`, "navigate", "index"],
  [`${here}?server=https://a.example`, "navigate", "index"],
  [`${here}index.html`, "navigate", "index"],
  [`${here}config.json`, "cors", "config"],
  [`${here}${dir}/main.js`, "cors", "script"],
  [`${here}${dir}/en-later.js`, "cors", "script"],
  [`${here}${dir}/page.css`, "no-cors", "script"],
  // A server's community, where the page is its "/".
  [here, "cors", undefined],
  [`${here}index.html`, "cors", undefined],
  [`${here}${hash}`, "navigate", undefined],
  [`${here}${hash}/`, "cors", undefined],
  [`${here}${hash}/${hash}`, "cors", undefined],
  [`${here}${hash}/main.js`, "cors", undefined],
  [`${here}ipfs/bafy`, "cors", undefined],
  [`${here}blocks`, "cors", undefined],
  [`${here}topics`, "cors", undefined],
  [`${here}events`, "cors", undefined],
  [`${here}counts`, "cors", undefined],
  [`${here}sw.js`, "same-origin", undefined],
  [`${here}.well-known/comntr`, "cors", undefined],
  [`${here}${dir}/../main.js`, "cors", undefined],
  [`${here}${dir}/a/main.js`, "cors", undefined],
  [`${here}${dir}/`, "navigate", undefined],
  // Each would be one more that is kept.
  [`${here}${dir}/main.js?1`, "navigate", undefined],
  [`${here}0123456789AB/main.js`, "cors", undefined],
  // Other pages, other hosts.
  ["https://example.org/", "navigate", undefined],
  ["https://example.org/some/wherever/config.json", "cors", undefined],
  [`https://example.org/${dir}/main.js`, "cors", undefined],
  ["https://example.org.evil.example/some/where/config.json", "cors", undefined],
  ["https://evil.example/?https://example.org/some/where/config.json", "cors", undefined],
])("%s by %s is %s", (url, mode, own) => expect(go(url, mode)).toBe(own));

test("a page at the root of its host has the files there, and nothing below", () => {
  const root = (url: string) => ownFile("https://example.org/", { url, mode: "cors", method: "GET" });
  expect(root(`https://example.org/${dir}/main.js`)).toBe("script");
  expect(root(`https://example.org/x/${dir}/main.js`)).toBe(undefined);
});

test("only what is read is answered", () => {
  for (const method of ["POST", "HEAD", "PUT"]) expect(go(`${here}config.json`, "cors", method)).toBe(undefined);
});
