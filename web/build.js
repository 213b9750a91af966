// Builds the page into dist/: index.html, config.json, and one folder with all else, named by the hash of what is in it,
// so that it may be cached for good. All paths are relative. The build fails where the page got too large.

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { transform } from "esbuild";
import { rolldown } from "rolldown";

/** Bytes, gzip: all that is fetched before the first comment shows; the whole page. */
const maxFirst = 63_200;
const maxAll = 117_500;

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

// marked's bundle makes an instance of all that it has. Of it only the lexer is used: without that instance the rest
// falls away.
const lexerAlone = {
  name: "lexer-alone",
  transform(code, id) {
    if (!id.endsWith("marked.esm.js")) return undefined;
    const [, before, exports] = /^(.*);var \w+=new \w+;function .*export\{(.*)\};/s.exec(code) ?? [];
    const [, lexer] = /(\w+) as Lexer\b/.exec(exports ?? "") ?? [];
    if (lexer === undefined) throw new Error("marked is put together in another way than build.js knows");
    return { code: `${before};export{${lexer} as Lexer};`, moduleSideEffects: false };
  },
};

// Which modules travel together. What one screen alone needs is a file of its own.
const groups = [
  { name: "write", test: /src\/(ui\/(composer|actions)|state\/write|strings\/en-later|protocol\/build)\.tsx?$/, priority: 3 },
  { name: "base", test: /src\/(protocol|keep|gateway|strings\/name|workers\/trees)|@noble\/(ed25519|hashes\/(sha2|utils|_md|_u64))|rolldown:runtime/, priority: 2 },
  { name: "page", test: /node_modules\/(preact|@preact)|src\/(ui\/(app|thread|comment|body|mark|when|lazy|keys)|state\/(page|me|topic|composing|looks)|net\/(browser|index|guard|http|post|reader|reasons|servers|topics|deadline|tree)\.|workers\/pool|strings\/en\.|route|config)/, priority: 1 },
];
const workers = ["thread", "markdown", "work", "seal"];
const bundle = await rolldown({
  cwd: here("."),
  input: { main: "src/main.tsx", ...Object.fromEntries(workers.map((name) => [name, `src/workers/${name}.ts`])) },
  platform: "browser",
  preserveEntrySignatures: "allow-extension",
  transform: { target: ["es2022", "chrome110", "firefox115", "safari16.4"] },
  plugins: [lexerAlone],
});
const { output } = await bundle.generate({
  format: "esm",
  minify: true,
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  codeSplitting: { includeDependenciesRecursively: false, groups },
});
const css = await transform(readFileSync(here("src/page.css"), "utf8"), { loader: "css", minify: true, target: ["chrome110", "firefox115", "safari16.4"] });

const files = new Map([...output.map(({ fileName, code }) => [fileName, Buffer.from(code)]), ["page.css", Buffer.from(css.code)]]);
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

rmSync(here("dist"), { recursive: true, force: true });
mkdirSync(here(`dist/${dir}`), { recursive: true });
writeFileSync(here("dist/index.html"), index);
writeFileSync(here("dist/config.json"), readFileSync(here("config.json")));
for (const [name, contents] of files) writeFileSync(here(`dist/${dir}/${name}`), contents);

const zipped = (contents) => gzipSync(contents, { level: 9 }).length;
const sizes = new Map([["index.html", zipped(index)], ...[...files].map(([name, contents]) => [name, zipped(contents)])]);
const first = new Set(["index.html", "page.css", ...needs("main.js"), ...needs("thread.js")]);
const total = (names) => [...names].reduce((all, name) => all + (sizes.get(name) ?? 0), 0);
for (const [name, size] of [...sizes].sort(([, a], [, b]) => b - a)) console.log(String(size).padStart(7), first.has(name) ? "first" : "later", name);
console.log(`before the first comment: ${total(first)} of ${maxFirst} bytes gzip; all: ${total(sizes.keys())} of ${maxAll}`);
if (total(first) > maxFirst || total(sizes.keys()) > maxAll) {
  console.error("the page is too large: load later what is not needed at first, or leave it out");
  process.exit(1);
}
