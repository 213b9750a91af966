// The languages: each says all that English says, in its own words, with its own plurals; and nothing is said elsewhere.

import { readdirSync, readFileSync } from "node:fs";
import { parseAst } from "rolldown/parseAst";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Language } from "../src/strings/words.ts";
import * as later from "../src/strings/en-later.ts";
import * as first from "../src/strings/en.ts";
import { words as ar } from "../src/strings/ar.ts";
import { words as de } from "../src/strings/de.ts";
import { setLocale } from "../src/strings/spoken.ts";

const source = new URL("../src/", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, source), "utf8");

type Say = (...given: unknown[]) => string;
type Said = string | Say;

/** Every text of a language, by its path: "page.home", "help.sections.0.1.0". */
function said(value: unknown, path = ""): [path: string, said: Said][] {
  if (typeof value === "string" || typeof value === "function") return [[path, value as Said]];
  return Object.entries(value as object).flatMap(([key, each]) => said(each, path === "" ? key : `${path}.${key}`));
}
const objects = (module: object): object => Object.fromEntries(Object.entries(module).filter(([, value]) => typeof value === "object"));
/** English as it is built in: the tests replace it and put it back. */
const english = { ...objects(first), ...objects(later) };
const englishTexts = new Map(said(structuredCloneOfTexts(english)));
function structuredCloneOfTexts(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(structuredCloneOfTexts);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, structuredCloneOfTexts(each)]));
}

interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && typeof (value as Node).type === "string";
function* nodes(node: Node, above: readonly Node[] = []): Generator<[Node, readonly Node[]]> {
  yield [node, above];
  for (const value of Object.values(node)) {
    for (const each of Array.isArray(value) ? value : [value]) if (isNode(each)) yield* nodes(each, [...above, node]);
  }
}
const parse = (path: string): Node => parseAst(read(path), { lang: path.endsWith("x") ? "tsx" : "ts" }) as unknown as Node;

/** What the functions of the English files take, by their paths: ["number", "string"]. */
const takes = new Map<string, string[]>();
for (const file of ["strings/en.ts", "strings/en-later.ts"]) {
  for (const [node, above] of nodes(parse(file))) {
    if (node.type !== "ArrowFunctionExpression" || above.at(-1)?.type !== "Property") continue;
    const keys = above.flatMap((each) => (each.type === "Property" ? [nameOf(each["key"])] : each.type === "VariableDeclarator" ? [nameOf(each["id"])] : []));
    takes.set(keys.join("."), (node["params"] as { typeAnnotation: { typeAnnotation: Node } }[]).map(({ typeAnnotation }) => (typeAnnotation.typeAnnotation.type === "TSNumberKeyword" ? "number" : "string")));
  }
}
function nameOf(node: unknown): string {
  const { name, value } = node as { name?: string; value?: string };
  return name ?? String(value);
}

/** Those that CLDR's rules tell apart, in any language. */
const numbers = [0, 1, 2, 3, 11, 100];
const text = "deadbeefdeadbeef";
/** Each way to call what has such parameters. */
function calls(parameters: readonly string[]): unknown[][] {
  return parameters.reduce<unknown[][]>((all, each) => all.flatMap((given) => (each === "number" ? numbers : [text]).map((next) => [...given, next])), [[]]);
}
/** The numbers in a text: without what groups them, and what parts them from their fractions is not there. */
const numbersIn = (said: string): number[] => (said.replace(/(?<=\d)[.,\u202f\u00a0٬](?=\d)/g, "").match(/\d+/g) ?? []).map(Number);

const spoken: Record<string, { words: Language; tag: string }> = { de: { words: de, tag: "de" }, ar: { words: ar, tag: "ar-u-nu-latn" } };

afterEach(() => setLocale("en"));

describe.each(Object.entries(spoken))("%s", (name, { words, tag }) => {
  beforeEach(() => setLocale(tag));
  const texts = new Map(said(words));

  test("has what English has", () => {
    const missing = [...englishTexts.keys()].filter((path) => typeof texts.get(path) !== typeof englishTexts.get(path));
    expect(missing, `strings/${name}.ts does not say ${missing.join(", ")}`).toEqual([]);
    const unknown = [...texts.keys()].filter((path) => !englishTexts.has(path));
    expect(unknown, `strings/${name}.ts says what English does not: ${unknown.join(", ")}`).toEqual([]);
  });

  test("says something, with what it is about", () => {
    for (const [path, say] of texts) {
      if (typeof say === "string") {
        expect(say.trim(), path).toBe(say);
        expect(say, path).not.toBe("");
        continue;
      }
      const parameters = takes.get(path) ?? [];
      expect(parameters, `the parameters of ${path}`).not.toEqual([]);
      const inEnglish = englishTexts.get(path) as Say;
      for (const given of calls(parameters)) {
        const is = say(...given);
        setLocale("en");
        const was = inEnglish(...given);
        setLocale(tag);
        const call = `${path}(${given.join(", ")}) is ${JSON.stringify(is)}`;
        expect(is.trim(), call).toBe(is);
        expect(is, call).not.toMatch(/undefined|NaN|\[object|#/);
        // A name may be shortened, as English shortens it.
        for (const long of [text, text.slice(0, 8)]) expect(is.includes(long), call).toBe(was.includes(long));
        // Small ones may be words: none, one, two.
        const shown = numbersIn(is);
        expect(shown.filter((n) => n > 2).sort(), call).toEqual(numbersIn(was).filter((n) => n > 2).sort());
        for (const n of shown) expect(numbersIn(was), call).toContain(n);
      }
    }
  });

  test("counts in all its forms", () => {
    const forms = new Set(numbers.map((n) => new Intl.PluralRules(name).select(n)));
    expect([...forms].sort()).toEqual([...new Intl.PluralRules(name).resolvedOptions().pluralCategories].sort());
    const shown = numbers.map((n) => (texts.get("thread.comments") as Say)(n).replace(/\d+/, "#"));
    expect(new Set(shown).size).toBe(forms.size);
  });

  test("has no English left", () => {
    const isWord = /\p{L}[\p{L}'’]*/gu;
    // They are the same in both, or names.
    const shared = new Set({
      de: "comntr offline server browser name community details tracker http https webtransport webrtc ipfs link links system text an in was die listen servers also passphrase r news example org esc enter j k n c u d p m w g h y b x ms byte bytes tab deadbeefdeadbeef deadbeef".split(" "),
      ar: "comntr http https webtransport webrtc ipfs r news example org article comments esc enter ctrl shift j k n c u d p m w g h y b x deadbeefdeadbeef deadbeef".split(" "),
    }[name]);
    const vocabulary = new Set(
      [...englishTexts].flatMap(([path, say]) => (typeof say === "string" ? [say] : calls(takes.get(path) ?? []).map((given) => say(...given)))).flatMap((each) => each.toLowerCase().match(isWord) ?? []),
    );
    const left = [...texts].flatMap(([path, say]) => {
      if (path === "page.near") return [];
      const all = typeof say === "string" ? [say] : calls(takes.get(path) ?? []).map((given) => say(...given));
      return [...new Set(all.flatMap((each) => each.toLowerCase().match(isWord) ?? []).filter((word) => !shared.has(word) && (vocabulary.has(word) || (name === "ar" && /[a-z]/.test(word)))))].map((word) => `${path}: ${word}`);
    });
    expect(left).toEqual([]);
  });
});

describe("the page's languages", () => {
  beforeEach(() => {
    vi.resetModules();
    vi.stubGlobal("document", { documentElement: { dataset: {}, lang: "en" }, dir: "" });
  });
  afterEach(() => vi.unstubAllGlobals());
  async function speaks(languages: readonly string[], chosen = ""): Promise<{ lang: string; dir: string; home: string; menu: string }> {
    vi.stubGlobal("navigator", { languages });
    vi.stubGlobal("localStorage", { getItem: (key: string) => (key === "language" ? chosen : null) });
    const { speakLanguage } = await import("../src/state/language.ts");
    const { page } = await import("../src/strings/en.ts");
    const before = import("../src/strings/en-later.ts");
    await speakLanguage();
    return { lang: document.documentElement.lang, dir: document.dir, home: page.home, menu: (await before).menu.link };
  }
  const inEnglish = { home: first.page.home, menu: later.menu.link };
  const inGerman = { home: de.page.home, menu: de.menu.link };
  const inArabic = { home: ar.page.home, menu: ar.menu.link };
  test.each<[why: string, languages: string[], chosen: string, spoken: object]>([
    ["the first of the reader's", ["de-AT", "en"], "", { lang: "de-AT", dir: "ltr", ...inGerman }],
    ["the first that there is", ["fr-FR", "ar-EG", "de"], "", { lang: "ar-EG", dir: "rtl", ...inArabic }],
    ["English, with its region", ["en-GB", "de"], "", { lang: "en-GB", dir: "ltr", ...inEnglish }],
    ["English, where there is none", ["fr"], "", { lang: "en", dir: "", ...inEnglish }],
    ["the one that was chosen", ["en-US"], "ar", { lang: "ar", dir: "rtl", ...inArabic }],
    ["a language of three letters is another", ["den", "arc"], "", { lang: "en", dir: "", ...inEnglish }],
    ["what no page can have kept", ["de"], "constructor", { lang: "de", dir: "ltr", ...inGerman }],
    ["a tag that is none", ["en-US@posix"], "", { lang: "en", dir: "", ...inEnglish }],
  ])("%s", async (_, languages, chosen, spoken) => expect(await speaks(languages, chosen)).toEqual(spoken));

  test("are loaded, offered and measured, each", () => {
    const all = readdirSync(new URL("strings/", source)).filter((name) => /^[a-z]{2,3}\.ts$/.test(name)).map((name) => name.slice(0, -3));
    expect(all).toContain("ar");
    for (const name of all) {
      expect(read("state/language.ts"), `${name} is no file of state/language.ts`).toMatch(new RegExp(`^  ${name}: \\(\\) =>`, "m"));
      expect(read("ui/you.tsx"), `${name} is not offered by ui/you.tsx`).toContain(`["${name}", "`);
      if (name === "en") continue;
      expect(spoken[name], `${name} is not tested here`).toBeDefined();
      expect(read("../build.js"), `${name}.js is not in build.js`).toMatch(new RegExp(`^const languages = .*"${name}\\.js"`, "m"));
    }
  });

  test("replace every file's words, those of parts that come later too", async () => {
    const { translate } = await import("../src/strings/spoken.ts");
    const firstWords = objects(await import("../src/strings/en.ts"));
    translate({}, ar as unknown as Record<string, object>);
    const all = said({ ...firstWords, ...objects(await import("../src/strings/en-later.ts")) });
    const arabic = new Map(said(ar));
    const kept = all.filter(([path, say]) => say !== arabic.get(path)).map(([path]) => path);
    expect(kept, `not replaced: is each object in its file's last line, translate({ … })? ${kept.join(", ")}`).toEqual([]);
  });
});

describe("outside of strings/", () => {
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((path) => /^(ui|state)\/.*\.tsx?$|^main\.tsx$/.test(path));
  /** Two letters or more are a word; entities and punctuation are none. */
  const isWord = (value: unknown): value is string => typeof value === "string" && /\p{L}{2}/u.test(value);
  const isShown = new Set(["aria-label", "aria-description", "aria-roledescription", "placeholder", "title", "alt", "label"]);
  /** What a browser shows when it is assigned, called or built with it. */
  const isSaid = /^(textContent|innerText|title|placeholder|text|label)$/;
  test.each(files)("nothing is said in %s", (path) => {
    const found: string[] = [];
    for (const [node, above] of nodes(parse(path))) {
      const { type } = node;
      const up = above.at(-1);
      const value = type === "Literal" ? node["value"] : type === "TemplateElement" ? (node["value"] as { cooked: string }).cooked : undefined;
      if (type === "JSXText" && isWord(node["value"])) found.push(node["value"].trim());
      if (!isWord(value)) continue;
      const attribute = above.find((each) => each.type === "JSXAttribute");
      const inChild = attribute === undefined && up?.type === "JSXExpressionContainer";
      const inAttribute = attribute !== undefined && isShown.has(nameOf(attribute["name"]));
      const assigned = up?.type === "AssignmentExpression" && isSaid.test(nameOf((up["left"] as Node)["property"] ?? {}));
      const property = up?.type === "Property" && up["value"] === node && isSaid.test(nameOf(up["key"]));
      const called = up?.type === "CallExpression" && /^(confirm|alert|prompt|Notification)$/.test(nameOf(up["callee"]));
      if (inChild || inAttribute || assigned || property || called) found.push(value);
    }
    expect(found.filter((each) => !/^\(?\$?\{?$/.test(each))).toEqual([]);
  });
});
