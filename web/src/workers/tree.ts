// Markdown as a tree.

import { type Block, blocksOf, type Links } from "./blocks.ts";
import { inlinesOf, textOf } from "./inlines.ts";
import { maxDepth, maxTags, type Tree } from "./trees.ts";

/** The tree of Markdown; undefined where it has too many tags and the text is to be shown as it is. */
export function toTree(markdown: string): Tree[] | undefined {
  try {
    const links: Links = new Map();
    const trees = fit(treesOf(blocksOf(markdown.replace(/\r\n?/g, "\n"), links), links, false), 0);
    return count(trees) <= maxTags ? trees : undefined;
  } catch {
    // Thousands of signs around each other are more than the stack holds.
    return undefined;
  }
}

function count(trees: readonly Tree[]): number {
  let tags = 0;
  for (const tree of trees) if (typeof tree !== "string") tags += 1 + count(tree.slice(2) as Tree[]);
  return tags;
}

/** What is too deep as its text, and neighbouring texts as one. */
function fit(trees: readonly Tree[], depth: number): Tree[] {
  const out: Tree[] = [];
  for (const tree of trees) {
    const last = out.at(-1);
    if (typeof tree !== "string" && depth < maxDepth) out.push([tree[0], tree[1], ...fit(tree.slice(2) as Tree[], depth + 1)]);
    else if (typeof last === "string") out[out.length - 1] = last + textOf([tree]);
    else out.push(textOf([tree]));
  }
  return out;
}

/** What is in a block. isTight: paragraphs are lines of a list without blank lines in it. */
function treesOf(block: Block, links: Links, isTight: boolean): Tree[] {
  return block.children.flatMap((each): Tree[] => {
    const { type, text, rows, start, loose } = each;
    const inside = (of = text): Tree[] => inlinesOf(of.trim(), links);
    switch (type) {
      case "p":
        return text.trim() === "" ? [] : isTight ? inside() : [["p", "", ...inside()]];
      case "h":
        return [["h", "", ...inside()]];
      case "hr":
        return [["hr", ""]];
      case "code":
        return [["pre", "", ["code", "", text.replace(each.sign === "" ? /\n+$/ : /\n$/, "")]]];
      case "quote":
        return [["blockquote", "", ...treesOf(each, links, false)]];
      case "list":
        return [[start === "" ? "ul" : "ol", start === "" ? "" : String(Number(start)), ...each.children.map((item): Tree => {
          const [first] = item.children;
          const [box = "", done = ""] = first?.type === "p" ? (/^\[([ x])\][ \t\n]+(?=\S)/i.exec(first.text) ?? []) : [];
          if (box !== "" && first !== undefined) first.text = first.text.slice(box.length);
          return ["li", "", ...(box === "" ? [] : [done === " " ? "☐ " : "☑ "]), ...treesOf(item, links, !loose)];
        })]];
      default:
        return [["table", "", ...rows.map((row, n): Tree =>
          ["tr", "", ...(rows[0] as string[]).map((_, column): Tree => [n === 0 ? "th" : "td", "", ...inside(row[column] ?? "")])])]];
    }
  });
}
