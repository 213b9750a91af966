// A static host for a folder, with a config.json of its own, whose URL it prints. Ends when its standard input does.
//
//     node e2e/host.mjs <address> <folder> <config.json's text>

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";

const [address, folder, config] = process.argv.slice(2);
const types = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml", json: "application/json" };

const server = createServer(async (request, answer) => {
  const { pathname } = new URL(request.url, "http://host");
  const name = pathname === "/" ? "index.html" : normalize(pathname).slice(1);
  // What browsers ask for where no page says what its icon is.
  if (name === "favicon.ico") return void answer.writeHead(204).end();
  try {
    const body = name === "config.json" ? config : await readFile(join(folder, name));
    answer.writeHead(200, { "Content-Type": types[name.split(".").pop()] ?? "application/octet-stream" }).end(body);
  } catch {
    answer.writeHead(404).end();
  }
});
server.listen(0, address, () => console.log(`http://${address}:${server.address().port}/`));
process.stdin.on("end", () => process.exit(0)).resume();
