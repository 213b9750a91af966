// What is in a paragraph of Markdown: CommonMark 0.31's, with GFM's strikes and addresses that stand by themselves.
// HTML is text, and every end of a line is one. Nothing is looked for twice in vain, so that the time is linear in the
// text, whoever wrote it.

import { labelOf, type Links, title } from "./blocks.ts";
import { safeAddress, type Tree } from "./trees.ts";

/** Signs that may begin or end what they stand around. */
interface Run {
  readonly sign: string;
  readonly length: number;
  left: number;
  readonly opens: boolean;
  readonly closes: boolean;
}

interface Bracket {
  readonly isImage: boolean;
  /** Where its text begins, and its place among the pieces. */
  readonly from: number;
  readonly place: number;
}

type Piece = Tree | Run;

const isRun = (piece: Piece): piece is Run => typeof piece === "object" && "sign" in piece;

export function textOf(trees: readonly Tree[]): string {
  return trees.map((tree) => (typeof tree === "string" ? tree : tree[0] === "br" ? "\n" : textOf(tree.slice(2) as Tree[]))).join("");
}

/** Without the links in it: a link has none inside. */
function unlinked(trees: readonly Tree[]): Tree[] {
  return trees.flatMap((tree): Tree[] => {
    if (typeof tree === "string") return [tree];
    const [tag, value, ...children] = tree;
    const inside = unlinked(children as Tree[]);
    return tag === "a" ? inside : [[tag, value, ...inside]];
  });
}

const named: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };
const reference = /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/giy;

function character(decimal: string | undefined, hex: string | undefined, name: string | undefined): string {
  if (name !== undefined) return named[name] ?? `&${name};`;
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? "\ufffd" : String.fromCodePoint(code);
}

function unescaped(text: string): string {
  return text.replace(/\\([!-/:-@[-`{-~])|&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi, (_, escaped, ...code) => escaped ?? character(code[0], code[1], code[2]));
}

/** Pairs the runs; what has no partner is text. */
function paired(pieces: readonly Piece[]): Tree[] {
  const out: Piece[] = [];
  const openers: { readonly run: Run; readonly place: number; readonly at: number }[] = [];
  // Before it there is none that such a run closes: it need not be looked for twice.
  const bottom = new Map<string, number>();
  pieces.forEach((piece, at) => {
    if (!isRun(piece)) {
      out.push(piece);
      return;
    }
    const kind = `${piece.sign}${piece.opens}${piece.sign === "~" ? piece.length : piece.length % 3}`;
    while (piece.closes && piece.left > 0) {
      let i = openers.length - 1;
      const least = bottom.get(kind) ?? -1;
      while (i >= 0 && (openers[i]?.at ?? -1) > least && !closes(piece, openers[i]?.run as Run)) i--;
      const found = openers[i];
      if (found === undefined || found.at <= least) {
        bottom.set(kind, at - 1);
        break;
      }
      const { run, place } = found;
      const used = run.left > 1 && piece.left > 1 ? 2 : 1;
      const inside = plain(out.splice(place + 1));
      openers.length = i + 1;
      run.left -= used;
      piece.left -= used;
      if (run.left === 0) {
        openers.pop();
        out.pop();
      }
      out.push([piece.sign === "~" ? "del" : used === 2 ? "strong" : "em", "", ...inside]);
    }
    if (piece.left === 0) return;
    if (piece.opens) openers.push({ run: piece, place: out.length, at });
    out.push(piece);
  });
  return plain(out);
}

function closes(run: Run, opener: Run): boolean {
  if (run.sign !== opener.sign) return false;
  if (run.sign === "~") return run.length === opener.length;
  // "A sum of three": what may open and close at once is read as people mean it.
  return !((opener.closes || run.opens) && (opener.length + run.length) % 3 === 0 && (opener.length % 3 !== 0 || run.length % 3 !== 0));
}

function plain(pieces: readonly Piece[]): Tree[] {
  return pieces.map((piece) => (isRun(piece) ? piece.sign.repeat(piece.left) : piece));
}

// Where the next thing may begin that is no text. An address by itself begins no earlier than a word.
const next = /[\\`*_~[\]<&]|(?<![ \t])[ \t]*\n[ \t]*|!\[|(?<![a-z\d])(?:https?:\/\/|www\.)[^\s<]+|(?<![a-z\d.+-])[a-z\d.+-][\w.+-]{0,63}@[a-z\d-]+(?:\.[a-z\d-]*[a-z\d])+(?![\w-])/gi;
const escape = /\\([!-/:-@[-`{-~])/y;
const autolink = /<([a-z][a-z\d+.-]{1,31}:[^\s<>]*|[\w.!#$%&'*+/=?^`{|}~-]+@[a-z\d-]+(?:\.[a-z\d-]+)*)>/iy;
const tag = /<\/?[a-z][a-z\d-]*(?:\s+[a-z_:][\w.:-]*(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?)*\s*\/?>/iy;
// Parentheses in an address are in pairs, three deep.
const nested = (inner: string): string => String.raw`(?:\\.|[^\0- ()\\]|\(${inner}\))*`;
const target = new RegExp(
  String.raw`\([ \t\n]*(?:<((?:\\.|[^<>\n\\])*)>|((?!<)${nested(nested(nested("")))}))(?:[ \t\n]+${title})?[ \t\n]*\)`,
  "y",
);
const label = /\[((?:\\[^]|[^[\]\\]){0,999})\]/y;

export function inlinesOf(text: string, links: Links): Tree[] {
  const pieces: Piece[] = [];
  const brackets: Bracket[] = [];
  const unclosed = new Set<number>();
  /** Where the last link began: brackets before it are none of a link. */
  let lastLink = 0;
  let at = 0;

  function match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = at;
    return pattern.exec(text);
  }

  /** A link by itself, or its text where its address is none that links may have. */
  function address(shown: string, href: string, source = shown): void {
    const safe = safeAddress(href);
    pieces.push(safe === undefined ? source : ["a", safe, shown]);
  }

  function codeSpan(): void {
    const [fence] = match(/`+/y) as RegExpExecArray;
    const from = at + fence.length;
    at = from;
    if (!unclosed.has(fence.length)) {
      const runs = /`+/g;
      runs.lastIndex = from;
      for (let end = runs.exec(text); end !== null; end = runs.exec(text)) {
        if (end[0].length !== fence.length) continue;
        const inside = text.slice(from, end.index).replaceAll("\n", " ");
        pieces.push(["code", "", /^ .*[^ ].* $/.test(inside) ? inside.slice(1, -1) : inside]);
        at = runs.lastIndex;
        return;
      }
      unclosed.add(fence.length);
    }
    pieces.push(fence);
  }

  function run(): void {
    const [signs] = match(/\*+|_+|~+/y) as RegExpExecArray;
    const before = [...text.slice(Math.max(0, at - 2), at)].pop() ?? " ";
    at += signs.length;
    const after = at < text.length ? String.fromCodePoint(text.codePointAt(at) as number) : " ";
    const [sign = ""] = signs;
    const [spaceBefore, spaceAfter] = [/\s/.test(before), /\s/.test(after)];
    const [signBefore, signAfter] = [/[\p{P}\p{S}]/u.test(before), /[\p{P}\p{S}]/u.test(after)];
    const left = !spaceAfter && (!signAfter || spaceBefore || signBefore);
    const right = !spaceBefore && (!signBefore || spaceAfter || signAfter);
    if (sign === "~" && signs.length > 2) {
      pieces.push(signs);
      return;
    }
    const isWord = sign === "_";
    pieces.push({ sign, length: signs.length, left: signs.length, opens: left && (!isWord || !right || signBefore), closes: right && (!isWord || !left || signAfter) });
  }

  function close(): void {
    at++;
    const bracket = brackets.pop();
    if (bracket === undefined || (!bracket.isImage && bracket.from < lastLink)) {
      pieces.push("]");
      return;
    }
    const { isImage, from, place } = bracket;
    const inside = text.slice(from, at - 1);
    const direct = match(target);
    let href = direct === null ? undefined : (direct[1] ?? direct[2] ?? "");
    let length = direct?.[0].length ?? 0;
    if (href === undefined) {
      const full = match(label);
      const name = full === null || full[1] === "" ? inside : (full[1] as string);
      href = /^(?:\\[^]|[^[\]\\]){1,999}$/.test(name) ? links.get(labelOf(name)) : undefined;
      length = full?.[0].length ?? 0;
    }
    if (href === undefined) {
      pieces.push("]");
      return;
    }
    const safe = safeAddress(unescaped(href));
    at += length;
    const children = unlinked(paired(pieces.splice(place).slice(1)));
    if (!isImage) lastLink = from;
    if (safe === undefined) pieces.push(text.slice(from - (isImage ? 2 : 1), at));
    // An image is a link: loading it would tell its host who reads.
    else if (isImage) pieces.push(["a", safe, textOf(children) || safe]);
    else pieces.push(["a", safe, ...children]);
  }

  while (at < text.length) {
    next.lastIndex = at;
    const found = next.exec(text);
    if (found === null) {
      pieces.push(text.slice(at));
      break;
    }
    if (found.index > at) pieces.push(text.slice(at, found.index));
    at = found.index;
    let [sign] = found;
    switch (sign) {
      case "\\": {
        const escaped = match(escape)?.[1];
        // Before a line's end it says what that says anyway.
        if (text[at + 1] !== "\n") pieces.push(escaped ?? sign);
        at += escaped === undefined ? 1 : 2;
        break;
      }
      case "`":
        codeSpan();
        break;
      case "*":
      case "_":
      case "~":
        run();
        break;
      case "[":
      case "![":
        at += sign.length;
        brackets.push({ isImage: sign === "![", from: at, place: pieces.length });
        pieces.push(sign);
        break;
      case "]":
        close();
        break;
      case "&": {
        const code = match(reference);
        pieces.push(code === null ? sign : character(code[1], code[2], code[3]?.toLowerCase()));
        at += code?.[0].length ?? 1;
        break;
      }
      case "<": {
        const auto = match(autolink);
        const [source = sign] = auto ?? match(tag) ?? [];
        at += source.length;
        if (auto === null) pieces.push(source);
        else address(auto[1] as string, /^[^:]*@/.test(auto[1] as string) ? `mailto:${auto[1]}` : (auto[1] as string), source);
        break;
      }
      default: {
        if (sign.includes("\n")) {
          pieces.push(["br", ""]);
        } else if (!/^(https?:|www\.)/i.test(sign)) {
          address(sign, `mailto:${sign}`);
        } else {
          sign = trimmed(brackets.length > 0 ? (sign.split("]")[0] as string) : sign);
          address(sign, /^www/i.test(sign) ? `http://${sign}` : sign);
        }
        at += sign.length;
      }
    }
  }
  return paired(pieces);
}

/** An address in a sentence, without the sentence's signs. */
function trimmed(url: string): string {
  let surplus = url.split(")").length - url.split("(").length;
  let end = url.length;
  for (; end > 0; end--) {
    const last = url[end - 1] as string;
    if (last === ")" ? surplus-- <= 0 : !"?!.,:;*_~'\"".includes(last)) break;
  }
  return url.slice(0, end);
}
