// A comment's body: a tree becomes DOM nodes, one for one.

import { type ComponentChild, h, type VNode } from "preact";
import type { Tree } from "../workers/trees.ts";

export function body(text: string, tree: readonly Tree[] | undefined): VNode {
  return tree === undefined ? <div class="body text" dir="auto">{text}</div> : <div class="body">{tree.map(nodeOf)}</div>;
}

/** Blocks find their direction by themselves: one comment may have paragraphs of two scripts. */
const directed = new Set(["p", "h", "li", "blockquote", "td", "th"]);

function nodeOf(tree: Tree): ComponentChild {
  if (typeof tree === "string") return tree;
  const [tag, value, ...children] = tree;
  const inside = children.map(nodeOf);
  switch (tag) {
    case "a": {
      const isHere = value.startsWith("#");
      return isHere ? <a href={value}>{inside}</a> : <a href={value} rel="noopener noreferrer nofollow ugc" target="_blank">{inside}</a>;
    }
    case "ol":
      return <ol start={Number(value)}>{inside}</ol>;
    case "table":
      return <div class="wide" tabIndex={0}><table><tbody>{inside}</tbody></table></div>;
    case "pre":
      return <pre tabIndex={0} dir="ltr">{inside}</pre>;
    case "h":
      return <p class="heading" dir="auto">{inside}</p>;
    default:
      return h(tag, directed.has(tag) ? { dir: "auto" } : {}, ...inside);
  }
}
