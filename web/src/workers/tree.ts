// Markdown as a tree: marked's lexer, and what of its tokens is kept.

import { Lexer, type Token, type Tokens } from "marked";
import { maxDepth, maxTags, safeAddress, type Tree } from "./trees.ts";

/** The tree of Markdown; undefined where it cannot be had and the text is to be shown as it is. */
export function toTree(markdown: string): Tree[] | undefined {
  try {
    const trees = blocks(new Lexer({ gfm: true, breaks: true }).lex(markdown), 0);
    return count(trees) <= maxTags ? trees : undefined;
  } catch {
    // 2 KiB of ">" are more than the stack holds.
    return undefined;
  }
}

function count(trees: readonly Tree[]): number {
  let tags = 0;
  for (const tree of trees) if (typeof tree !== "string") tags += 1 + count(tree.slice(2) as Tree[]);
  return tags;
}

function blocks(tokens: readonly Token[], depth: number): Tree[] {
  return tokens.flatMap((token) => block(token as Tokens.Generic, depth));
}

function block(token: Tokens.Generic, depth: number): Tree[] {
  if (depth >= maxDepth) return [token.raw];
  const inside = (): Tree[] => inlines(token.tokens ?? [], depth + 1);
  switch (token.type) {
    case "space":
    case "def":
      return [];
    case "paragraph":
      return [["p", "", ...inside()]];
    case "heading":
      return [["h", "", ...inside()]];
    case "text":
      return token.tokens === undefined ? [String(token["text"])] : inside();
    case "code":
      return [["pre", "", ["code", "", String(token["text"])]]];
    case "blockquote":
      return [["blockquote", "", ...blocks(token.tokens ?? [], depth + 1)]];
    case "hr":
      return [["hr", ""]];
    case "list": {
      const { ordered, start, items } = token as unknown as Tokens.List;
      const list = items.map((item): Tree => {
        const box = item.task ? [item.checked === true ? "☑ " : "☐ "] : [];
        return ["li", "", ...box, ...blocks(item.tokens.filter(({ type }) => (type as string) !== "checkbox"), depth + 2)];
      });
      return [ordered ? ["ol", String(start), ...list] : ["ul", "", ...list]];
    }
    case "table": {
      const { header, rows } = token as unknown as Tokens.Table;
      const row = (cells: readonly Tokens.TableCell[], tag: "th" | "td"): Tree =>
        ["tr", "", ...cells.map((cell): Tree => [tag, "", ...inlines(cell.tokens, depth + 1)])];
      return [["table", "", row(header, "th"), ...rows.map((cells) => row(cells, "td"))]];
    }
    default:
      // HTML among others: its text, as it was typed.
      return [["p", "", token.raw.trim()]];
  }
}

function inlines(tokens: readonly Token[], depth: number): Tree[] {
  return tokens.flatMap((token) => inline(token as Tokens.Generic, depth));
}

function inline(token: Tokens.Generic, depth: number): Tree[] {
  if (depth >= maxDepth) return [token.raw];
  const inside = (): Tree[] => inlines(token.tokens ?? [], depth + 1);
  switch (token.type) {
    case "text":
      return token.tokens === undefined ? [String(token["text"])] : inside();
    case "escape":
      return [String(token["text"])];
    case "em":
    case "strong":
    case "del":
      return [[token.type, "", ...inside()]];
    case "codespan":
      return [["code", "", String(token["text"])]];
    case "br":
      return [["br", ""]];
    case "link": {
      const href = safeAddress(String(token["href"]));
      return href === undefined ? [token.raw] : [["a", href, ...inside()]];
    }
    case "image": {
      const href = safeAddress(String(token["href"]));
      // Loading it would tell its host who reads.
      return href === undefined ? [token.raw] : [["a", href, String(token["text"]) || href]];
    }
    default:
      return [token.raw];
  }
}
