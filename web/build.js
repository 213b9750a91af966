// Builds the page into dist/: index.html, config.json, sw.js, and one folder with all else, named by the hash of what is
// in it, so that it may be cached for good. All paths are relative. The build fails where the page got too large.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { rolldown } from "rolldown";

/** Bytes, gzip: all that is fetched before the first comment shows; the whole page. */
const maxFirst = 40_000;
const maxAll = 99_000;
/** The IPFS node, which comes when all is still, to whom it is of use: Helia and libp2p, with what they need of the page's code. */
const maxPeer = 270_000;
/** What readers of another language fetch besides, each: it is waited for. */
const languages = ["de.js", "ar.js"];
const maxLanguage = 10_000;
/** A larger file is kept for visits without a network only when it was used. */
const maxKeptAtOnce = 64_000;

const zipped = (contents) => gzipSync(contents, { level: 9 }).length;
const here = (path) => new URL(path, import.meta.url).pathname;

const csp = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self' http: https: ws: wss:",
  "worker-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types comntr",
].join("; ");

// Which modules travel together: few files are squeezed better than many. A module is in the first of these parts that
// needs it, so each imports those before it alone. main is the page until its first comments are shown, and the worker that
// reads them, since most of either is what both need; work is what workers do now and then, and signing; later is all else
// of the page.
const parts = {
  main: ["src/main.tsx"],
  work: ["src/workers/work.ts", "src/workers/search.ts", "src/workers/views.ts"],
  later: [
    "src/net/browser.ts", "src/net/pages.ts", "src/state/rounds.ts", "src/workers/helpers.ts", "src/state/background.ts",
    "src/ui/besides.ts", "src/ui/composer.tsx", "src/ui/actions.tsx", "src/ui/screens.tsx", "src/ui/shared.tsx", "src/ui/away.tsx",
  ],
};

/** What modules import at once, and what that does. */
function reached(names, graph, seen = new Set()) {
  for (const id of names) {
    if (seen.has(id)) continue;
    seen.add(id);
    reached(graph.getModuleInfo(id)?.importedIds ?? [], graph, seen);
  }
  return seen;
}

let modules;
function partOf(id, graph) {
  modules ??= Object.entries(parts).map(([name, roots]) => [name, reached(roots.map(here), graph)]);
  return modules.find(([, ids]) => ids.has(id))?.[0] ?? null;
}

const shared = {
  cwd: here("."),
  platform: "browser",
  treeshake: { propertyReadSideEffects: false, unknownGlobalSideEffects: false },
};
const optimization = { inlineConst: { mode: "all" } };
const target = ["es2022", "chrome110", "firefox115", "safari16.4"];
const bundle = await rolldown({
  ...shared,
  optimization,
  input: { main: "src/main.tsx", work: "src/workers/work.ts" },
  preserveEntrySignatures: "allow-extension",
  transform: {
    target,
    // h(tag, props, child) is shorter than jsx(tag, { children: [child] }).
    jsx: { runtime: "classic", pragma: "h", pragmaFrag: "Fragment" },
    inject: { h: [here("src/ui/draw.ts"), "h"], Fragment: [here("src/ui/draw.ts"), "Fragment"] },
  },
});
const { output: made } = await bundle.generate({
  format: "esm",
  minify: true,
  comments: { annotation: false },
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: partOf, debugName: "parts" }] },
});

// What a module gives that is imported later, rolldown gathers in an object, which its file gives under a letter and who
// imports it takes from there. Here the file itself gives it, by its name.
const output = made.map(({ fileName, imports, code }) => ({ fileName, imports, code }));
const gatherer = /var ([\w$]+)=Object\.defineProperty,([\w$]+)=\(e,t\)=>\{.{0,80}\1\(n,Symbol\.toStringTag,\{value:`Module`\}\),n\};/;
const unknown = () => new Error("rolldown gathers otherwise than build.js knows");
const home = output.find(({ code }) => gatherer.test(code));
if (home === undefined) throw unknown();
const [, , gather] = gatherer.exec(home.code);
home.code = home.code.replace(gatherer, "");
const given = /export\{([^}]*)\};$/m;
const pairsOf = (names) => names.split(",").map((each) => each.split(" as ")).map(([name, alias = name]) => [name, alias]);
const [, letter] = pairsOf(given.exec(home.code)[1]).find(([name]) => name === gather) ?? [];
const named = new Set();
for (const file of output) {
  let by = gather;
  if (file !== home) {
    file.code = file.code.replace(new RegExp(`import\\{([^}]*)\\}from"\\./${home.fileName}";`), (all, names) => {
      const pairs = pairsOf(names);
      by = pairs.find(([name]) => name === letter)?.[1];
      return `import{${pairs.filter(([name]) => name !== letter).map((each) => each.join(" as "))}}from"./${home.fileName}";`;
    });
  }
  const asked = new Map(pairsOf(given.exec(file.code)[1]));
  const objects = new Map();
  file.code = file.code.replace(/var ([\w$]+)=([\w$]+)\(\{((?:\w+:\(\)=>[\w$]+,?)+)\}\);/g, (all, object, caller, members) => {
    if (caller !== by) return all;
    const each = (as) => members.replace(/(\w+):\(\)=>([\w$]+)/g, as);
    // The file itself may want one.
    if (!asked.has(object)) return `var ${object}={${each("get $1(){return $2}")}};`;
    objects.set(object, each("$2 as $1"));
    named.add(`${file.fileName} ${asked.get(object)}`);
    return "";
  });
  asked.delete(file === home ? gather : "");
  file.code = file.code.replace(given, `export{${[...asked].map(([name, alias]) => objects.get(name) ?? `${name} as ${alias}`)}};`);
  // One that is made elsewhere would be missed only when somebody asks for that part.
  if (by !== undefined && new RegExp(`(?<![\\w$.])${by.replaceAll("$", "\\$")}\\(\\{\\w+:\\(\\)=>`).test(file.code)) throw unknown();
}
for (const file of output) {
  file.code = file.code.replace(/import\(`\.\/(\w+\.js)`\)\.then\((\w)=>\2\.(\w+)\)/g, (_, from, __, alias) => {
    if (!named.has(`${from} ${alias}`)) throw unknown();
    return `import(\`./${from}\`)`;
  });
}
// What main.js gives has there the name that it is given by: the other files may call it as they like, but not that.
const main = output.find(({ fileName }) => fileName === "main.js");
const own = new Map();
main.code = main.code.replace(given, (_, names) => {
  for (const [name, alias] of pairsOf(names)) own.set(alias, name);
  return `export{${[...own.values()].sort()}};`;
});
for (const file of output) {
  file.code = file.code.replace(/import\{([^}]*)\}from"\.\/main\.js";/, (_, names) => `import{${pairsOf(names).map(([alias, name]) => `${own.get(alias)} as ${name}`).sort()}}from"./main.js";`);
}
const files = new Map(output.map(({ fileName, code }) => [fileName, Buffer.from(code)]));
// These share no file with the page: it would have to be cut otherwise for the one's sake, and the other begins sooner.
for (const name of ["markdown", "peer"]) {
  const worker = await rolldown({ ...shared, optimization, input: `src/workers/${name}.ts`, transform: { target } });
  const { output: [{ code }] } = await worker.generate({ format: "esm", minify: true, comments: { annotation: false }, codeSplitting: false });
  files.set(`${name}.js`, Buffer.from(code));
}
const css = await transform(readFileSync(here("src/page.css"), "utf8"), { loader: "css", minify: true, target: target.slice(1) });
files.set("page.css", Buffer.from(css.code));
files.set("icon.svg", readFileSync(here("src/icon.svg")));
const sum = createHash("sha256");
for (const [name, contents] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) sum.update(`${name} ${contents.length}\n`).update(contents);
const dir = sum.digest("hex").slice(0, 12);

// A file that it waited for would have to be asked for in index.html, with it and not after it.
if (output.find(({ fileName }) => fileName === "main.js").imports.length > 0) throw new Error("main.js is not the only file of scripts before the first comment");
const index = readFileSync(here("src/index.html"), "utf8").replace("{csp}", csp).replaceAll("{dir}", dir);

// The service worker has a name that stays, so that browsers find the next one. What is large and few need is kept by it
// once it is used.
const isSeldom = (name) => languages.includes(name) || zipped(files.get(name)) > maxKeptAtOnce;
const worker = await rolldown({
  input: here("src/workers/sw.ts"),
  platform: "browser",
  transform: { target: ["es2022", "chrome110", "firefox115", "safari16.4"], define: { folder: JSON.stringify(dir), files: JSON.stringify([...files.keys()].filter((name) => !isSeldom(name))), seldom: JSON.stringify([...files.keys()].filter(isSeldom)) } },
});
const [{ code: workerCode }] = (await worker.generate({ format: "iife", minify: true })).output;

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here(`dist/${dir}`), { recursive: true });
writeFileSync(here("dist/index.html"), index);
writeFileSync(here("dist/config.json"), readFileSync(here("config.json")));
for (const [name, contents] of files) writeFileSync(here(`dist/${dir}/${name}`), contents);
writeFileSync(here("dist/sw.js"), workerCode);

const sizes = new Map([["index.html", zipped(index)], ["sw.js", zipped(workerCode)], ...[...files].map(([name, contents]) => [name, zipped(contents)])]);
const first = new Set(["index.html", "page.css", "main.js"]);
const apart = [...languages, "peer.js"];
const all = [...sizes.keys()].filter((name) => !apart.includes(name));
const total = (names) => [...names].reduce((all, name) => all + (sizes.get(name) ?? 0), 0);
for (const [name, size] of [...sizes].sort(([, a], [, b]) => b - a)) console.log(String(size).padStart(7), first.has(name) ? "first" : apart.includes(name) ? "other" : "later", name);
console.log(`before the first comment: ${total(first)} of ${maxFirst} bytes gzip; all: ${total(all)} of ${maxAll}`);
const isLarge = languages.some((name) => !(sizes.get(name) <= maxLanguage)) || !(sizes.get("peer.js") <= maxPeer);
if (total(first) > maxFirst || total(all) > maxAll || isLarge) {
  console.error("the page is too large: load later what is not needed at first, or leave it out");
  process.exit(1);
}
