// Builds the page into dist/: index.html, config.json, sw.js, and one folder with all else, named by the hash of what is
// in it, so that it may be cached for good. All paths are relative. The build fails where the page got too large.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { rolldown } from "rolldown";

/** Bytes, gzip: all that is fetched before the first comment shows; the whole page. */
const maxFirst = 40_000;
const maxAll = 90_000;
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

const workers = ["thread", "markdown", "work", "seal"];
// Which modules travel together. What comes later is in the first of these parts that needs it.
const later = {
  sign: ["src/protocol/build.ts", "src/workers/search.ts"],
  net: ["src/net/browser.ts", "src/ui/besides.ts", "src/workers/helpers.ts"],
  write: ["src/ui/composer.tsx", "src/ui/actions.tsx", "src/state/background.ts", "src/ui/screens.ts", "src/ui/shared.tsx", "src/ui/away.tsx"],
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

let parts;
function partOf(id, graph) {
  parts ??= Object.entries({ main: ["src/main.tsx"], ...Object.fromEntries(workers.map((name) => [name, [`src/workers/${name}.ts`]])), ...later }).map(([name, roots]) => [name, reached(roots.map(here), graph)]);
  const [first, ...others] = parts.filter(([, ids]) => ids.has(id)).map(([name]) => name);
  if (first !== "main" && first !== "thread") return [first, ...others].find((name) => name in later) ?? null;
  // A worker's file is imported by nothing else, and the page's own by no worker: it would begin there once more.
  const alone = first === "main" ? others.every((name) => name in later) : others.length === 0;
  return alone ? first : "base";
}

const bundle = await rolldown({
  cwd: here("."),
  input: { main: "src/main.tsx", ...Object.fromEntries(workers.map((name) => [name, `src/workers/${name}.ts`])) },
  platform: "browser",
  treeshake: { propertyReadSideEffects: false, unknownGlobalSideEffects: false },
  preserveEntrySignatures: "allow-extension",
  transform: {
    target: ["es2022", "chrome110", "firefox115", "safari16.4"],
    // h(tag, props, child) is shorter than jsx(tag, { children: [child] }).
    jsx: { runtime: "classic", pragma: "h", pragmaFrag: "Fragment" },
    inject: { h: ["preact", "h"], Fragment: ["preact", "Fragment"] },
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

// What rolldown adds is a file of its own, which all that comes later would wait for: each has it within.
const added = made.find(({ fileName }) => fileName === "rolldown-runtime.js");
const output = made.filter((file) => file !== added).map((file) => {
  if (!file.imports.includes(added?.fileName)) return file;
  const [, body, inside = "t"] = /^(.*)export\{(?:(\w+) as )?t\};?\s*$/s.exec(added.code) ?? [];
  const code = file.code.replace(/import\{t as (\w+)\}from"\.\/rolldown-runtime\.js";/, (_, name) => `const ${name}=(()=>{${body}return ${inside}})();`);
  if (body === undefined || code === file.code) throw new Error("rolldown adds something else than build.js knows");
  return { ...file, code, imports: file.imports.filter((name) => name !== added.fileName) };
});
const files = new Map(output.map(({ fileName, code }) => [fileName, Buffer.from(code)]));
const css = await transform(readFileSync(here("src/page.css"), "utf8"), { loader: "css", minify: true, target: ["chrome110", "firefox115", "safari16.4"] });
files.set("page.css", Buffer.from(css.code));
files.set("icon.svg", readFileSync(here("src/icon.svg")));
const sum = createHash("sha256");
for (const [name, contents] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) sum.update(`${name} ${contents.length}\n`).update(contents);
const dir = sum.digest("hex").slice(0, 12);

/** What a file imports at once, and what that does. */
function needs(name, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const other of output.find(({ fileName }) => fileName === name)?.imports ?? []) needs(other, seen);
  return seen;
}

// Those that main.js asks for as soon as it runs are asked for with it.
const early = [...needs("main.js"), ...needs("thread.js")].filter((name, i, all) => name !== "main.js" && all.indexOf(name) === i);
const preload = [
  '<link rel="preload" href="config.json" as="fetch" crossorigin="anonymous">',
  ...early.map((name) => `<link rel="modulepreload" href="${dir}/${name}">`),
].join("\n");
const index = readFileSync(here("src/index.html"), "utf8").replace("{csp}", csp).replaceAll("{dir}", dir).replace("{preload}", preload);

// The service worker has a name that stays, so that browsers find the next one. What is large and few need is kept by it
// once it is used.
const worker = await rolldown({
  input: here("src/workers/sw.ts"),
  platform: "browser",
  transform: { target: ["es2022", "chrome110", "firefox115", "safari16.4"], define: { folder: JSON.stringify(dir), files: JSON.stringify([...files].filter(([, contents]) => zipped(contents) <= maxKeptAtOnce).map(([name]) => name)) } },
});
const [{ code: workerCode }] = (await worker.generate({ format: "iife", minify: true })).output;

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here(`dist/${dir}`), { recursive: true });
writeFileSync(here("dist/index.html"), index);
writeFileSync(here("dist/config.json"), readFileSync(here("config.json")));
for (const [name, contents] of files) writeFileSync(here(`dist/${dir}/${name}`), contents);
writeFileSync(here("dist/sw.js"), workerCode);

const sizes = new Map([["index.html", zipped(index)], ["sw.js", zipped(workerCode)], ...[...files].map(([name, contents]) => [name, zipped(contents)])]);
const first = new Set(["index.html", "page.css", ...needs("main.js"), ...needs("thread.js")]);
const total = (names) => [...names].reduce((all, name) => all + (sizes.get(name) ?? 0), 0);
for (const [name, size] of [...sizes].sort(([, a], [, b]) => b - a)) console.log(String(size).padStart(7), first.has(name) ? "first" : "later", name);
console.log(`before the first comment: ${total(first)} of ${maxFirst} bytes gzip; all: ${total(sizes.keys())} of ${maxAll}`);
if (total(first) > maxFirst || total(sizes.keys()) > maxAll) {
  console.error("the page is too large: load later what is not needed at first, or leave it out");
  process.exit(1);
}
