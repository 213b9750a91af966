// A comment's body: a tree becomes DOM nodes, one for one.

import type { ComponentChild, VNode } from "preact";
import type { Tree } from "../workers/trees.ts";
import { h } from "./draw.ts";

/** Longer ones are laid out only where they are seen: a screen of them would take seconds. */
const longText = 4096;

export function body(text: string, tree: readonly Tree[] | undefined): VNode {
  const long = text.length > longText ? " long" : "";
  return tree === undefined ? <div class={`body text${long}`} dir="auto">{flat(text)}</div> : <div class={`body${long}`}>{tree.map((block) => nodeOf(block, "auto"))}</div>;
}

/** Marks over one another, at most so many: no script needs more (UAX #15, Stream-Safe Text), and thousands take a second to draw. */
const stack = /(\p{M}{30})\p{M}+/gu;
const flat = (text: string): string => text.replace(stack, "$1");

/** dir: of a body's own blocks, which find their direction by themselves. What is in one follows it, line by line (page.css). */
function nodeOf(tree: Tree, dir?: "auto"): ComponentChild {
  if (typeof tree === "string") return flat(tree);
  const [tag, value, ...children] = tree;
  const inside = children.map((child) => nodeOf(child));
  switch (tag) {
    case "a": {
      const isHere = value.startsWith("#");
      return isHere ? <a href={value}>{inside}</a> : <a href={value} rel="noopener noreferrer nofollow ugc" target="_blank">{inside}</a>;
    }
    case "ol":
      return <ol dir={dir} start={Number(value)}>{inside}</ol>;
    case "table":
      return <div class="wide" tabIndex={0} dir={dir}><table><tbody>{inside}</tbody></table></div>;
    case "pre":
      return <pre tabIndex={0}>{inside}</pre>;
    case "h":
      return <p class="heading" dir={dir}>{inside}</p>;
    default:
      return h(tag, { dir }, ...inside);
  }
}
