import { describe, expect, test } from "vitest";
import { toTree } from "../src/workers/tree.ts";
import { maxDepth, maxTags, safeAddress, toPlainTree, type Tree } from "../src/workers/trees.ts";
import { random } from "./random.ts";

function* each(trees: readonly Tree[]): Generator<Exclude<Tree, string>> {
  for (const tree of trees) {
    if (typeof tree === "string") continue;
    yield tree;
    yield* each(tree.slice(2) as Tree[]);
  }
}

function textOf(trees: readonly Tree[]): string {
  return trees.map((tree) => (typeof tree === "string" ? tree : textOf(tree.slice(2) as Tree[]))).join("");
}

function depthOf(tree: Tree): number {
  return typeof tree === "string" ? 0 : 1 + Math.max(0, ...(tree.slice(2) as Tree[]).map(depthOf));
}

test("what people write", () => {
  expect(toTree("Hello **you** and *me*\nand `code` ~~not~~")).toEqual([
    ["p", "", "Hello ", ["strong", "", "you"], " and ", ["em", "", "me"], ["br", ""], "and ", ["code", "", "code"], " ", ["del", "", "not"]],
  ]);
  expect(toTree("> quoted\n\n1. one\n2. two\n\n```js\n<b>\n```\n\n---")).toEqual([
    ["blockquote", "", ["p", "", "quoted"]],
    ["ol", "1", ["li", "", "one"], ["li", "", "two"]],
    ["pre", "", ["code", "", "<b>"]],
    ["hr", ""],
  ]);
  expect(toTree("- [x] done\n- [ ] open")).toEqual([["ul", "", ["li", "", "☑ done"], ["li", "", "☐ open"]]]);
  expect(toTree("| a | b |\n|---|---|\n| *c* | d |")).toEqual([
    ["table", "", ["tr", "", ["th", "", "a"], ["th", "", "b"]], ["tr", "", ["td", "", ["em", "", "c"]], ["td", "", "d"]]],
  ]);
  expect(toTree("[a](https://example.org/x) https://example.org/y <https://example.org/z>")).toEqual([
    ["p", "", ["a", "https://example.org/x", "a"], " ", ["a", "https://example.org/y", "https://example.org/y"], " ", ["a", "https://example.org/z", "https://example.org/z"]],
  ]);
});

test("images are links, so that their hosts do not learn who reads", () => {
  expect(toTree("![a cat](https://example.org/cat.png)")).toEqual([["p", "", ["a", "https://example.org/cat.png", "a cat"]]]);
  expect(toTree("![](https://example.org/cat.png)")).toEqual([["p", "", ["a", "https://example.org/cat.png", "https://example.org/cat.png"]]]);
});

test("tables", () => {
  const row = (tag: string, ...cells: string[]): unknown => ["tr", "", ...cells.map((cell) => (cell === "" ? [tag, ""] : [tag, "", cell]))];
  // Cells are as many as the head has; a pipe in one is escaped; a paragraph before ends, and so does the table.
  expect(toTree("words\na | b\n-|-\nc\nd | e \\| f | g\n> h")).toEqual([
    ["p", "", "words"], ["table", "", row("th", "a", "b"), row("td", "c", ""), row("td", "d", "e | f")], ["blockquote", "", ["p", "", "h"]],
  ]);
  for (const none of ["a | b\n-|-|-", "a\n|", "| a |\n| x |"]) expect((toTree(none) ?? [])[0]?.[0]).toBe("p");
});

test("strikes, lists and what stands in them", () => {
  expect(toTree("~a~ ~~b~~ ~~~c~~~ ~~d~")).toEqual([["p", "", ["del", "", "a"], " ", ["del", "", "b"], " ~~~c~~~ ~~d~"]]);
  expect(toTree("- a\n  - b\n\n- c\n\n3) d")).toEqual([
    ["ul", "", ["li", "", ["p", "", "a"], ["ul", "", ["li", "", "b"]]], ["li", "", ["p", "", "c"]]],
    ["ol", "3", ["li", "", "d"]],
  ]);
  expect(toTree("- [X] a\n- [ ]\n- [y] b")).toEqual([["ul", "", ["li", "", "☑ a"], ["li", "", "[ ]"], ["li", "", "[y] b"]]]);
});

test("addresses that stand by themselves, in sentences", () => {
  const links = (text: string): string[] => [...each(toTree(text) ?? [])].filter(([tag]) => tag === "a").map(([, value]) => value);
  expect(links("See https://a.example/x, (https://b.example/y_(z)) or **www.c.example**; 山https://d.example?")).toEqual([
    "https://a.example/x", "https://b.example/y_(z)", "http://www.c.example/", "https://d.example/",
  ]);
  expect(links("who.am-i_2@mail.example, <b@c.example>.")).toEqual(["mailto:who.am-i_2@mail.example", "mailto:b@c.example"]);
  expect(links("xhttps://a.example a@b a@b.c- @b.example https:// www. <a@b c>")).toEqual([]);
  // A link has none inside, also none that is an image.
  expect(toTree("[https://a.example](https://b.example) [![c](https://c.example)](https://d.example)")).toEqual([
    ["p", "", ["a", "https://b.example/", "https://a.example"], " ", ["a", "https://d.example/", "c"]],
  ]);
});

test("characters by number, and the names that are known", () => {
  expect(textOf(toTree("&#65;&#x42; &lt;&AMP;&copy; &#0; &#xd800; &#x110000;") ?? [])).toBe("AB <&&copy; \ufffd \ufffd \ufffd");
  expect(toTree("[a](https://a.example/?x&amp;y)")).toEqual([["p", "", ["a", "https://a.example/?x&y", "a"]]]);
});

// Kinds of attacks that public lists of vectors have against Markdown: addresses that run, in every disguise, raw HTML,
// and breaking out of attributes.
const vectors = [
  "[a](javascript:prompt(document.cookie))", "[a](j    a   v   a   s   c   r   i   p   t:prompt(document.cookie))",
  "![a](javascript:prompt(document.cookie))", "<javascript:prompt(document.cookie)>", "<javascript:alert('XSS')>",
  "[a](data:text/html;base64,PHNjcmlwdD5hbGVydCgnWFNTJyk8L3NjcmlwdD4K)", "[a](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A&#x61&#x6C&#x65&#x72&#x74&#x28&#x27&#x58&#x53&#x53&#x27&#x29)",
  "[a](javascript://www.google.com%0Aprompt(1))", "[a](javascript://%0d%0aconfirm(1))", "[a](javascript://%0d%0aconfirm(1);com)",
  "[a](javascript:window.onerror=confirm;throw%201)", "[a](Javas&#99;ript:alert(1&#41;)", "[a](javascript:alert%28document.domain&#41;)",
  "[a](javascript:this;alert(1))", "[a](javascript&colon;alert(1))", "[a](Javas%26%2399;ript:alert(1))", "[a](vbscript:alert(1))", "[a](VBScript:alert(1))",
  "[a](\u0001javascript:alert(1))", "[a](java\nscript:alert(1))", "[a](java\tscript:alert(1))", "[a]( javascript:alert(1))", "[a](<javascript:alert(1)>)", "[a](JAVASCRIPT:alert(1))",
  "[XSS]: (javascript:prompt(document.cookie))\n[XSS]", "[1]: javascript:alert(1)\n\n[a][1]", "[citelol]: (javascript:prompt(document.cookie))", "![a](data:image/svg+xml;base64,PHN2Zz4=)",
  "![a'\"`onerror=prompt(document.cookie)](x)", "![a](https://www.example.com/image.png\"onload=\"alert('XSS'))", "[a](https://example.org\"onmouseover=\"alert(1))",
  "![a](\"onerror=\"alert(1))", "[notmalicious](javascript:window.onerror=alert;throw%20document.cookie)", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)>", "<iframe src=javascript:alert(1)>", "<a href=\"javascript:alert(1)\">x</a>", "<details open ontoggle=alert(1)>", "<math><mi//xlink:href=\"data:x,<script>alert(4)</script>\">",
  "<IMG SRC=&#106;&#97;&#118;&#97;&#115;&#99;&#114;&#105;&#112;&#116;&#58;&#97;&#108;&#101;&#114;&#116;&#40;&#39;&#88;&#83;&#83;&#39;&#41;>", "<b onmouseover=alert(1)>x</b>", "<style>@import 'x'</style>",
  "<!--><img src=x onerror=alert(1)>-->", "`<script>`alert(1)`</script>`", "```\n</code></pre><script>alert(1)</script>\n```", "~~<script>alert(1)</script>~~", "| <script>alert(1)</script> |\n|---|\n| [a](javascript:alert(1)) |",
  "<object data=javascript:alert(1)>", "<form action=javascript:alert(1)><input type=submit>", "<base href=javascript:alert(1)//>", "<meta http-equiv=refresh content=0;url=javascript:alert(1)>", "[a](file:///etc/passwd)",
  "[a](blob:https://example.org/x)", "[a](about:blank)", "[a](view-source:x)", "[a](//example.org)", "[a](/path)", "[a](#anchor)", "[a](?x)", "www.javascript:alert(1)", "<mailto:javascript:alert(1)@x>",
];

const schemes = /^(https?:\/\/|mailto:|magnet:|#\/)/;
const tags = new Set(["p", "h", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "br", "hr", "table", "tr", "th", "td"]);

test.each(vectors)("%s is harmless", (vector) => {
  for (const text of [vector, `> ${vector}`, `- ${vector}`, `**${vector}**`, `# ${vector}`, `[${vector}](https://example.org)`]) {
    for (const [tag, value] of each(toTree(text) ?? [])) {
      expect(tags.has(tag)).toBe(true);
      if (tag === "a") expect(value).toMatch(schemes);
      else if (tag === "ol") expect(value).toMatch(/^\d*$/);
      else expect(value).toBe("");
    }
  }
});

test("HTML is the text that was typed", () => {
  expect(textOf(toTree("<script>alert(1)</script> & <b>x</b>") ?? [])).toBe("<script>alert(1)</script> & <b>x</b>");
  expect(textOf(toTree("a <b>x</b>") ?? [])).toBe("a <b>x</b>");
});

test("addresses", () => {
  expect(safeAddress("https://example.org/a b")).toBe("https://example.org/a%20b");
  expect(safeAddress("#/reddit/x")).toBe("#/reddit/x");
  expect(safeAddress("magnet:?xt=urn:btih:x")).toBe("magnet:?xt=urn:btih:x");
  for (const odd of ["", "x", "javascript:alert(1)", "https://", "http://[", " https://example.org"]) expect(safeAddress(odd)).toBeUndefined();
});

test("what is too deep is text, and nothing overflows", () => {
  for (const text of [">".repeat(30) + " x", "- ".repeat(40) + "x", "*".repeat(100) + "x" + "*".repeat(100), "[".repeat(200) + "x" + "](https://example.org)".repeat(200)]) {
    for (const tree of toTree(text) ?? []) expect(depthOf(tree)).toBeLessThanOrEqual(maxDepth + 2);
  }
  expect(() => toTree(">".repeat(2048))).not.toThrow();
  expect(() => toTree("> ".repeat(30_000))).not.toThrow();
});

test("what is deeper is the text that was typed", () => {
  expect(textOf(toTree(`${"> ".repeat(20)}x`) ?? [])).toMatch(/^(> )+x$/);
  expect(textOf(toTree(`${"*a ".repeat(20)}x${"*".repeat(20)}`) ?? [])).toBe(`${"a ".repeat(20)}x`);
});

// None takes more than a fraction of a second, the time of which is linear; the test's own time is the bound.
test.each([
  "[", "![", "]", "[](", "[a](b ", "[a](<b", "[a](b \"", "[a](((", "![a](b) ", "[a][b]", "[[]", "*", "_", "~", "*a ", "*a_ ", "**a_ ", "a**b", "*_", "*a**b***c",
  "`", "`a", "`` ` ", "<", "<a ", "<a x=\"", "<a x", "<a@", "<a:", "&", "&#", "&amp;", "@", "a", "a.", "a@", "a@b.", "a@b.c ", "www.", "https://", "https://)", "\\", " ", "\t",
  "\n", ">", ">\n", "- ", "- a\n", "-\n\n", "1. ", "* *", "|a", "|a\n|-\n", "# ", "-", "=\n", "[a]: b\n", "[a]: <", "[a]: b '", "```\n", "``` ", "    a\n", "a\n", "a  ", "x\n\n",
])("64 KiB of %j are read in time", (part) => {
  const text = part.repeat(Math.ceil(65536 / part.length));
  for (const each of [text, `x${text}x`, text.slice(0, 32768) + "]".repeat(32768), text.slice(0, 32768) + ")".repeat(32768)]) expect(() => toTree(each)).not.toThrow();
}, 20_000);

test("what has too many tags is text", () => {
  // A paragraph is one of them.
  expect(toTree("`a` ".repeat(maxTags - 1))).toBeDefined();
  expect(toTree("`a` ".repeat(maxTags))).toBeUndefined();
  for (const text of ["> a\n\n".repeat(maxTags), "a\n".repeat(maxTags + 1), `${"|a".repeat(maxTags)}|\n${"|-".repeat(maxTags)}|`]) expect(toTree(text)).toBeUndefined();
});

describe("texts without signs", () => {
  test("give the lexer's tree without the lexer", () => {
    const pick = random(5);
    const parts = ["word", " ", "\n", "\n\n", ". ", "é", "🙂", "  ", "1", "(x)", "!", ";", ",", "?", "'", "\"", "%", "$", "^", "it's", "well-known", "a:b", "x/y", "\n ", "e.g."];
    for (let n = 0; n < 3000; n++) {
      const text = Array.from({ length: 1 + pick(12) }, () => parts[pick(parts.length)]).join("");
      const plain = toPlainTree(text);
      if (plain !== undefined) expect(plain.map(flat), JSON.stringify(text)).toEqual((toTree(text) ?? []).map(flat));
    }
  });
  test("what may mean something is left to the lexer", () => {
    for (const text of ["*a*", "a\n- b", "# a", "1. a", "> a", "https://a.example", "www.a.example", "a@b.example", "    code", "a | b", "<b>", "&amp;", "a\n===", "+ a", "~~a~~"]) expect(toPlainTree(text)).toBeUndefined();
  });
});

/** Spaces at the ends of lines are not seen. */
function flat(tree: Tree): unknown {
  if (typeof tree === "string") return tree.trim().replace(/\s+/g, " ");
  const [tag, value, ...children] = tree;
  // Text that the lexer cut in two is one text.
  const joined: Tree[] = [];
  for (const child of children as Tree[]) {
    const last = joined[joined.length - 1];
    if (typeof child === "string" && typeof last === "string") joined[joined.length - 1] = last + child;
    else joined.push(child);
  }
  return [tag, value, ...joined.map(flat)];
}
