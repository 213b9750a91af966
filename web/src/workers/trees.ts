// Trees of plain data: what Markdown becomes and what the page makes DOM nodes of. No HTML exists on the way, so there is
// none to clean. Only these tags and these attributes can come out.

import { urlOf } from "../protocol/bytes.ts";

export type Tag =
  | "p" | "h" | "em" | "strong" | "del" | "code" | "pre" | "blockquote" | "ul" | "ol" | "li" | "a" | "br" | "hr"
  | "table" | "tr" | "th" | "td";

/** Text, or a tag with what it says besides (a link's address, a list's first number) and what is in it. */
export type Tree = string | readonly [tag: Tag, value: string, ...children: Tree[]];

/** How deep trees are; what is deeper is shown as its text. */
export const maxDepth = 16;
/** How many tags a tree has; a text of more is shown as it is. 64 KiB can ask for 30,000, which a browser draws for seconds. */
export const maxTags = 2000;

// What may mean something to the lexer: anywhere, or at the beginning of a line.
const special = /[\\`*_[\]<|~&@\t\r]|:\/\/|www\.|(^|\n)( {4}| *([>#+=-]|\d+[.)]))/i;

/** What needs no lexer: paragraphs of words. It is most of what people write, and shows before the lexer is here. */
export function toPlainTree(markdown: string): Tree[] | undefined {
  if (markdown.length > 4096 || special.test(markdown)) return undefined;
  return markdown
    .split(/\n[ ]*\n\s*/)
    .filter((paragraph) => paragraph.trim() !== "")
    .map((paragraph): Tree => ["p", "", ...paragraph.trim().split(/ *\n */).flatMap((line, i): Tree[] => (i === 0 ? [line] : [["br", ""], line]))]);
}

/** An address that a link may have. */
export function safeAddress(href: string): string | undefined {
  if (/^#\//.test(href)) return href;
  if (!/^(https?:\/\/|mailto:|magnet:)/i.test(href)) return undefined;
  const url = urlOf(href);
  return ["http:", "https:", "mailto:", "magnet:"].includes(url?.protocol ?? "") ? url?.href : undefined;
}
