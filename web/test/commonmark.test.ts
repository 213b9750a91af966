// The specification's own examples (CommonMark 0.31.2) against the tree that a page of theirs would have.

import { createRequire } from "node:module";
import { parseHTML } from "linkedom";
import { expect, test, vi } from "vitest";
import { toTree } from "../src/workers/tree.ts";
import type { Tree } from "../src/workers/trees.ts";

// The examples' addresses are mostly such as no link here has.
vi.mock("../src/workers/trees.ts", async (original) => ({ ...(await original<object>()), safeAddress: (href: string) => href }));

interface Example {
  readonly markdown: string;
  readonly html: string;
  readonly section: string;
  readonly number: number;
}
const { tests } = createRequire(import.meta.url)("commonmark-spec") as { tests: Example[] };

/** What is meant to differ. */
const others = new Map<number, string>([
  ...[25, 32, 33, 503].map((n): [number, string] => [n, "of the named characters only six are known"]),
  ...[21, 31, 201, 308, 309, 344, 475, 476, 477, 491, 494, 524, 536, 642, 643].map((n): [number, string] => [n, "HTML is text"]),
  ...[517, 531].map((n): [number, string] => [n, "an image in a link is its words: it could only be a link in a link"]),
  [39, "a line's end that is written as its number is a space, as browsers have it"],
  ...[602, 608, 611, 612].map((n): [number, string] => [n, "an address by itself is a link (GFM)"]),
]);

/** A tree of any tags. */
type Plain = string | Inner;
interface Inner extends ReadonlyArray<Plain> {}

/** The tree that HTML stands for, as this page would have it: all headings alike, images as links, lines as they end. */
function treeOf(node: Node, isPre = false): Plain[] {
  const inside = [...node.childNodes].flatMap((child): Plain[] => {
    if (child.nodeType === 3) {
      const text = child.nodeValue ?? "";
      if (isPre) return [child.nextSibling === null ? text.replace(/\n$/, "") : text];
      const isBetween = text.trim() === "" && /^(BODY|UL|OL|BLOCKQUOTE|LI)$/.test(node.nodeName);
      return isBetween ? [] : text.split("\n").flatMap((line, i): Plain[] => [...(i > 0 ? [["br", ""] as Plain] : []), ...(line === "" ? [] : [line])]);
    }
    if (child.nodeType !== 1) return [];
    const element = child as Element;
    const of = (name: string): string => element.getAttribute(name) ?? "";
    const tag = element.tagName.toLowerCase();
    if (tag === "img") return [["a", of("src"), of("alt") || of("src")]];
    return [[tag.replace(/^h\d$/, "h"), tag === "a" ? of("href") : tag === "ol" ? of("start") || "1" : "", ...treeOf(element, isPre || tag === "pre")]];
  });
  return inside;
}

/** What is seen of a tree: not how addresses are escaped, nor where texts are cut. */
function seen(trees: readonly (Plain | Tree)[]): unknown[] {
  const out: unknown[] = [];
  for (const tree of trees) {
    const last = out.at(-1);
    if (typeof tree === "string") {
      if (typeof last === "string") out[out.length - 1] = last + tree;
      else if (tree !== "") out.push(tree);
    } else {
      const [tag, value, ...children] = tree as [string, string, ...Tree[]];
      const isBreak = Array.isArray(last) && last[0] === "br";
      // A <br> of HTML has a line's end after it; a list's items end their texts with one.
      if (tag === "br" && isBreak) continue;
      if (isBlock(tag) && isBreak) out.pop();
      if (tag === "br" && Array.isArray(last) && isBlock(String(last[0]))) continue;
      out.push([tag, tag === "a" ? decodeURI(value).replace(/%[57][BCDEbcde]/g, decodeURIComponent) : value, ...seen(children)]);
    }
  }
  if (Array.isArray(out.at(-1)) && (out.at(-1) as unknown[])[0] === "br") out.pop();
  if (Array.isArray(out[0]) && out[0][0] === "br") out.shift();
  return out;
}

function isBlock(tag: string): boolean {
  return /^(p|h|hr|pre|blockquote|ul|ol|li)$/.test(tag);
}

function both({ markdown, html }: Example): [ours: unknown[], theirs: unknown[]] {
  const tabbed = (text: string): string => text.replaceAll("→", "\t");
  return [seen(toTree(tabbed(markdown)) ?? []), seen(treeOf(parseHTML(`<html><body>${tabbed(html)}</body></html>`).document.body))];
}

test.each(tests.filter(({ number, section }) => !/HTML/.test(section) && !others.has(number)))("$section, example $number", (example) => {
  const [ours, theirs] = both(example);
  expect(ours).toEqual(theirs);
});

test.each([...others])("example %i differs: %s", (number) => {
  const [ours, theirs] = both(tests[number - 1] as Example);
  expect(ours).not.toEqual(theirs);
});
