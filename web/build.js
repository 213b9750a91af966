// Bundles src/protocol to see what it weighs: each part by itself, with what it needs, and all together.

import { build } from "esbuild";
import { readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const folder = new URL("src/protocol/", import.meta.url).pathname;
const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));

async function bundle(contents) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: folder, loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    metafile: true,
    write: false,
  });
  return { code: outputFiles[0].contents, inputs: Object.values(metafile.outputs)[0].inputs };
}

const all = await bundle(files.map((file) => `export * from "./${file}";`).join("\n"));
const size = (code) => `${(gzipSync(code, { level: 9 }).length / 1000).toFixed(1)} kB gzip`;

console.log("bytes of each part, minified, in one bundle:");
for (const [path, { bytesInOutput }] of Object.entries(all.inputs).sort((a, b) => b[1].bytesInOutput - a[1].bytesInOutput)) {
  if (bytesInOutput > 0) console.log(String(bytesInOutput).padStart(8), path.replace(/^.*node_modules\//, ""));
}
console.log(`all of it: ${all.code.length} bytes, ${size(all.code)}`);

// What the page needs before the first comment shows: read a folder, judge, fold.
const first = await bundle(
  'export * from "./client.ts"; export { readFolder } from "./folder.ts"; export { judgeDocument } from "./document.ts";' +
    'export { chooseVerifier } from "./signature.ts"; export { fold } from "./thread.ts"; export { readFilter } from "./filter.ts";' +
    'export { cleanName } from "./name.ts"; export { hashOfName } from "./hash.ts"; export { openHello } from "./hello.ts";',
).catch(() => undefined);
if (first !== undefined) console.log(`to show a thread: ${first.code.length} bytes, ${size(first.code)}`);
