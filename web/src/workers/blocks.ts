// The blocks of Markdown, line by line: CommonMark 0.31's, with GFM's tables and tasks, and without HTML, which is text.
// Each line first goes on with the blocks that are open, outermost first, then opens others, and what is left is text.
// Containers are nested no deeper than they are shown, so that the time is linear in the text.

import { maxDepth, maxTags } from "./trees.ts";

export interface Block {
  readonly type: "root" | "quote" | "list" | "item" | "p" | "h" | "hr" | "code" | "table";
  readonly children: Block[];
  text: string;
  /** Of a list, the sign that ends its markers; of code, its fence, if it has one. */
  readonly sign: string;
  /** Columns that belong to the container, or to the fence's indentation. */
  readonly width: number;
  /** Of a list: its first number; whether there are blank lines between its parts. */
  readonly start: string;
  loose: boolean;
  /** Of a table: its rows, the first of which is its head. */
  readonly rows: string[][];
}

/** Where references lead, by their labels. */
export type Links = Map<string, string>;

export function labelOf(text: string): string {
  return text.trim().replace(/\s+/g, " ").toLowerCase().toUpperCase();
}

/** What stands behind an address in quotes; it is not shown. */
export const title = String.raw`(?:"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*'|\((?:\\[^]|[^()\\])*\))`;
const definition = String.raw`^\[((?:\\[^]|[^[\]\\]){1,999})\]:[ \t\n]*(<(?:\\.|[^<>\n\\])*>|[^ \t\n<][^ \t\n]*)`;
// What follows an address but is no title is no part of a definition, if it stands on a line of its own.
const definitions = [`(?:[ \\t\\n]+${title})`, ""].map((rest) => new RegExp(`${definition}${rest}[ \\t]*(?:\\n|$)`));

/** Takes definitions of references off the beginning of a paragraph. */
function takeDefinitions(block: Block, links: Links): void {
  for (;;) {
    const [all = "", label = "", to = ""] = definitions[0]?.exec(block.text) ?? definitions[1]?.exec(block.text) ?? [];
    const name = labelOf(label);
    if (name === "") return;
    if (!links.has(name)) links.set(name, to.replace(/^<(.*)>$/, "$1"));
    block.text = block.text.slice(all.length);
  }
}

/** The cells of a row of a table. */
function cellsOf(row: string): string[] {
  return row.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

export function blocksOf(markdown: string, links: Links): Block {
  const make = (type: Block["type"], more: Partial<Block> = {}): Block => ({ type, children: [], text: "", sign: "", width: 0, start: "", loose: false, rows: [], ...more });
  const root = make("root");
  const open = [root];
  let blocks = 0;
  let line = "";
  let wasBlank = false;
  // The column where the line's rest begins, how far that is indented, and what follows. Tabs before it are spaces now.
  let at = 0;
  let indent = 0;
  let rest = "";
  // So many of those that are open go on in this line, or were opened by it.
  let here = 0;

  function look(): void {
    let end = at;
    let spaces = "";
    for (; line[end] === " " || line[end] === "\t"; end++) spaces += line[end] === " " ? " " : " ".repeat(4 - ((at + spaces.length) % 4));
    rest = line.slice(end);
    line = line.slice(0, at) + spaces + rest;
    indent = spaces.length;
  }

  /** Past the sign of a quotation, and one space. */
  function pass(): void {
    at += indent + 1;
    look();
    if (indent > 0) at++;
  }

  /** Whether the line goes on with a block; undefined: it does and is used up. */
  function goesOn(block: Block): boolean | undefined {
    look();
    switch (block.type) {
      case "quote":
        if (indent > 3 || rest[0] !== ">") return false;
        pass();
        return true;
      case "item":
        if (rest === "" ? block.children.length === 0 : indent < block.width) return false;
        at += Math.min(indent, block.width);
        return true;
      case "code":
        if (block.sign === "") {
          if (indent < 4 && rest !== "") return false;
          wasBlank = rest === "";
        } else if (indent < 4 && rest.startsWith(block.sign) && rest.replace(/[ \t]+$/, "") === (block.sign[0] as string).repeat(rest.trimEnd().length)) {
          open.pop();
          return undefined;
        }
        block.text += `${line.slice(at + Math.min(indent, block.width))}\n`;
        return undefined;
      case "p":
      case "table":
        return rest !== "";
      default:
        return true;
    }
  }

  /** Opens a block where the line is; what does not go on is closed. */
  function add(type: Block["type"], more?: Partial<Block>): Block {
    while (["p", "table"].includes((open[here - 1] as Block).type) || (type !== "item" && open[here - 1]?.type === "list")) here--;
    open.length = here;
    const parent = open[here - 1] as Block;
    if (wasBlank && parent.type === "item") (open[here - 2] as Block).loose = true;
    if (wasBlank && type === "item" && parent.children.length > 0) parent.loose = true;
    wasBlank = false;
    const block = make(type, more);
    if (++blocks > maxTags) throw new RangeError("more blocks than are shown");
    parent.children.push(block);
    open.push(block);
    here++;
    return block;
  }

  /** Opens the block that begins here, if one does; whether it is a container, so that another may follow. */
  function begin(): boolean | undefined {
    look();
    const top = open[here - 1] as Block;
    if (rest === "") return undefined;
    if (indent > 3) {
      if (open.at(-1)?.type === "p") return undefined;
      add("code", { width: 4 }).text = `${line.slice(at + 4)}\n`;
      return false;
    }
    if (rest[0] === ">" && open.length < maxDepth) {
      add("quote");
      pass();
      return true;
    }
    const [heading] = /^#{1,6}(?=[ \t]|$)/.exec(rest) ?? [];
    if (heading !== undefined) {
      add("h").text = rest.slice(heading.length).trim().replace(/(^|[ \t])#+$/, "").trim();
      open.length = --here;
      return false;
    }
    const [fence] = /^(?:`{3,}(?!.*`)|~{3,})/.exec(rest) ?? [];
    if (fence !== undefined) {
      add("code", { sign: fence, width: indent });
      return false;
    }
    if (top.type === "p" && /^(?:=+|-+)[ \t]*$/.test(rest)) {
      takeDefinitions(top, links);
      if (top.text !== "") {
        const { text } = top;
        (open[here - 2] as Block).children.pop();
        add("h").text = text;
        open.length = --here;
        return false;
      }
    }
    if (/^(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/.test(rest)) {
      add("hr");
      open.length = --here;
      return false;
    }
    if (top.type === "p" && rest.includes("|") && /^\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/.test(rest)) {
      const from = top.text.lastIndexOf("\n") + 1;
      const head = cellsOf(top.text.slice(from));
      if (head.length === cellsOf(rest).length) {
        top.text = top.text.slice(0, from).trimEnd();
        add("table").rows.push(head);
        return false;
      }
    }
    const [marker = "", number = ""] = /^(?:[-*+]|(\d{1,9})[.)])(?=[ \t]|$)/.exec(rest) ?? [];
    const isEmpty = rest.trimEnd() === marker;
    // What stands in the middle of a paragraph must look more like a list to be one.
    if (marker === "" || open.length + 1 >= maxDepth || (top.type === "p" && (isEmpty || (number !== "" && number !== "1")))) return undefined;
    const sign = marker.at(-1) as string;
    const before = indent + marker.length;
    at += before;
    look();
    const space = isEmpty || indent > 4 ? 1 : indent;
    if (top.type !== "list" || top.sign !== sign) add("list", { sign, start: number });
    add("item", { width: before + space });
    at += Math.min(indent, space);
    return true;
  }

  for (line of markdown.replace(/\n$/, "").split("\n")) {
    at = 0;
    here = 1;
    let goes: boolean | undefined = true;
    while (here < open.length && (goes = goesOn(open[here] as Block)) === true) here++;
    if (goes === undefined) continue;
    let begun: boolean | undefined;
    let isNew = false;
    while ((begun = begin()) === true) isNew = true;
    if (begun === false) continue;
    if (rest === "") {
      open.length = here;
      wasBlank = !isNew && open[here - 1]?.type !== "quote";
      continue;
    }
    const last = open.at(-1) as Block;
    // Also where its containers are not named anew.
    if (last.type === "p") last.text += (last.text === "" ? "" : "\n") + rest;
    else if (last.type === "table" && here === open.length) last.rows.push(cellsOf(rest));
    else add("p").text = rest;
  }
  (function take(block: Block): void {
    if (block.type === "p") takeDefinitions(block, links);
    block.children.forEach(take);
  })(root);
  return root;
}
