// Bundles src/protocol to see what it weighs. All of it together counts towards what a page loads before it shows the
// first comment; of the parts, what each adds by itself.

import { build } from "esbuild";
import { readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const folder = new URL("src/protocol/", import.meta.url).pathname;
const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));

/** The minified bundle of a module's text, or of it alone, without what it imports. */
async function bundle(contents, alone) {
  const leaveOut = {
    name: "leave-out",
    setup: (esbuild) => esbuild.onResolve({ filter: /./ }, ({ importer, path }) => (importer.endsWith(".ts") ? { path, external: true } : undefined)),
  };
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder, loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    write: false,
    plugins: alone ? [leaveOut] : [],
  });
  return outputFiles[0].contents;
}

function say(what, code) {
  const gzip = gzipSync(code, { level: 9 }).length;
  console.log(`${String(code.length).padStart(7)} ${String(gzip).padStart(7)}  ${what}`);
  return gzip;
}

console.log("  bytes    gzip");
const parts = [
  ...files.map((file) => ({ what: file, contents: `export * from "./${file}";`, alone: true })),
  { what: "@noble/ed25519", contents: 'export { Point, sign, getPublicKey, hashes } from "@noble/ed25519";', alone: false },
  { what: "@noble/hashes", contents: 'export { sha256, sha512 } from "@noble/hashes/sha2.js";', alone: false },
];
const weighed = await Promise.all(parts.map(async ({ what, contents, alone }) => ({ what, code: await bundle(contents, alone) })));
for (const { what, code } of weighed.sort((a, b) => b.code.length - a.code.length)) say(what, code);
say("all together", await bundle(files.map((file) => `export * from "./${file}";`).join("\n"), false));
