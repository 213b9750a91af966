// How fast the page is: Chromium with a fresh profile opens topics of signed comments on a real server, on this machine.
//
//     node bench/page.mjs <the program comntr> [--runs=5] [--only=<words of a case's name>] [--chromium=/usr/bin/chromium]
//                         [--profile=<folder for .cpuprofile files>] [--rows=1: when how many rows were shown, and long tasks] [--requests=1]
//
// `make web-bench` builds the program and runs it. Times are milliseconds from the start of the navigation, and what is
// printed are medians, with the slowest run in brackets where it matters.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { keys, writeThread } from "./thread.mjs";

const options = Object.fromEntries(process.argv.slice(2).flatMap((each) => {
  const [, name, value] = /^--(\w+)=(.*)$/.exec(each) ?? [];
  return name === undefined ? [] : [[name, value]];
}));
const [program] = process.argv.slice(2).filter((each) => !each.startsWith("--"));
const runs = Number(options.runs ?? 5);
const executablePath = options.chromium ?? "/usr/bin/chromium";
const patience = 120_000;
if (program === undefined) {
  console.error("say which comntr: node bench/page.mjs ../bin/comntr");
  process.exit(2);
}

const community = "reddit";
/** host: a name that is no secure context has no crypto.subtle. node: the IPFS node starts. most: what the page has promised. */
const cases = [
  { name: "1,000 secure", n: 1000, host: "localhost", most: { first: 600, all: 1000 } },
  { name: "20,000 secure", n: 20_000, host: "localhost", most: { first: 2500, all: 6000 } },
  { name: "20,000 secure, scrolling", n: 20_000, host: "localhost", scrolls: true, most: { first: 2500 } },
  { name: "1,000, IPFS node starts", n: 1000, host: "localhost", node: true, most: { gap: 60 } },
  { name: "1,000 plain", n: 1000, host: "plain.example", most: { all: 2500 } },
].filter(({ name }) => name.includes(options.only ?? ""));
/** What a browser with a new profile does for itself is over then. */
const startMillis = 3000;
/** No task of the main thread after the first paint takes longer. */
const maxTask = 100;

const data = mkdtempSync(join(tmpdir(), "comntr-bench-"));
const began = Date.now();
const topics = new Map();
for (const n of new Set(cases.map(({ n }) => n))) {
  const name = `bench ${n}`;
  topics.set(n, { name, ...writeThread(data, community, name, n) });
}

const server = spawn(program, [
  "serve", "--data", data, "--listen", "127.0.0.1:0", "--rate", "0", "--dht-listen", "127.0.0.1:0", "--dht-bootstrap", "none", "--ipfs-listen", "none", "--ipfs-bootstrap", "none",
  "--rtc-listen", "none", "--tracker", "none", "--stun", "none", "--webtransport-listen", "none", "--allow-private",
], { stdio: ["ignore", "pipe", "pipe"] });
const ended = new Promise((resolve) => server.on("exit", resolve));
process.on("exit", () => server.kill("SIGKILL"));

/** The server's port, once it answers. */
const port = await new Promise((resolve, reject) => {
  let log = "";
  const look = (chunk) => {
    log += chunk;
    const [, found] = /http=http:\/\/127\.0\.0\.1:(\d+) /.exec(log) ?? [];
    if (found !== undefined) resolve(found);
  };
  server.stdout.on("data", look);
  server.stderr.on("data", look);
  server.on("exit", () => reject(new Error(`the server ended:\n${log}`)));
});
// It reads what lies there before it answers; the first answer of a folder takes the longest.
for (const { topic } of topics.values()) await (await fetch(`http://127.0.0.1:${port}/${topic}`)).text();

/** Runs in the page before its scripts. */
function probe() {
  const seen = { rows: [], tasks: [], frames: [], paint: 0, nodes: 0 };
  globalThis.comntrSeen = seen;
  new PerformanceObserver((list) => {
    for (const { name, startTime } of list.getEntries()) {
      if (name !== "first-contentful-paint") continue;
      seen.paint = startTime;
      seen.nodes = document.getElementsByTagName("*").length;
    }
  }).observe({ type: "paint", buffered: true });
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) seen.tasks.push([startTime, duration]);
  }).observe({ type: "longtask", buffered: true });
  // Only what is put in or taken out is looked at: to count all rows each time would cost more than to draw them.
  let rows = 0;
  let told = 0;
  const count = (nodes) => [...nodes].reduce((sum, node) => sum + (node.nodeType !== 1 ? 0 : node.localName === "article" ? 1 : node.getElementsByTagName("article").length), 0);
  new MutationObserver((records) => {
    const before = rows;
    for (const { addedNodes, removedNodes } of records) rows += count(addedNodes) - count(removedNodes);
    if (rows === before) return;
    // Shown is what a frame was made of: this is called before the frame, and a message comes after it.
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        if (rows !== told) seen.rows.push([performance.now(), rows]);
        told = rows;
      };
      port2.postMessage(0);
    });
  }).observe(document, { childList: true, subtree: true });
  let last = 0;
  const frame = (now) => {
    if (last > 0 && now - last > 50) seen.frames.push([last, now - last]);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** The longest chain of requests of which each began when the one before was answered. */
function roundTrips(requests) {
  const sorted = [...requests].sort((a, b) => a.start - b.start);
  const chain = [];
  sorted.forEach(({ start }, i) => {
    chain[i] = 1 + Math.max(0, ...sorted.slice(0, i).map(({ end }, j) => (end <= start ? chain[j] : 0)));
  });
  return Math.max(0, ...chain);
}

/** Runs in the page before its scripts: each time for which it did not get to anything else. */
function watchGaps() {
  const gaps = [];
  globalThis.comntrGaps = gaps;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    if (now - last > 10) gaps.push([last, now]);
    last = now;
  }, 4);
}

/** The longest of them since the IPFS node's program was asked for, and until it had some time to start. */
async function gapOfNode(page, requests) {
  const started = ({ url }) => url.endsWith("/config.json");
  // The worker asks for that when its program runs; then libp2p and Helia start.
  for (const end = Date.now() + patience; requests.filter(started).length < 2; await page.waitForTimeout(50)) {
    if (Date.now() > end) throw new Error("the IPFS node did not start");
  }
  await page.waitForTimeout(2000);
  const { start } = requests.find(({ url }) => url.endsWith("/peer.js"));
  const [gaps, origin] = await page.evaluate(() => [globalThis.comntrGaps, performance.timeOrigin]);
  return Math.max(0, ...gaps.filter(([, end]) => end >= start - origin).map(([began, end]) => end - began));
}

async function visit(context, url, { n, scrolls, node }, label) {
  const page = await context.newPage();
  await page.addInitScript(probe);
  if (node) await page.addInitScript(watchGaps);
  const requests = [];
  page.on("requestfinished", (request) => {
    const { startTime, responseEnd } = request.timing();
    requests.push({ start: startTime, end: startTime + responseEnd, url: request.url() });
  });
  const profilers = [];
  if (options.profile !== undefined) await profileAll(context, page, profilers);
  await page.goto(url, { waitUntil: "commit" });
  if (scrolls) {
    await page.waitForFunction((rows) => globalThis.comntrSeen.rows.some(([, now]) => now >= rows), 50, { timeout: patience, polling: 20 });
    await page.mouse.move(500, 400);
    for (const end = Date.now() + 10_000; Date.now() < end; ) {
      await page.mouse.wheel(0, 400);
      await page.waitForTimeout(50);
    }
  } else {
    await page.waitForFunction((rows) => globalThis.comntrSeen.rows.at(-1)?.[1] >= rows, n, { timeout: patience, polling: 100 });
    await page.waitForTimeout(300);
  }
  const gap = node ? await gapOfNode(page, requests) : Number.NaN;
  for (const stop of profilers) await stop(label);
  const seen = await page.evaluate(() => ({ ...globalThis.comntrSeen, origin: performance.timeOrigin, secure: isSecureContext }));
  const when = (rows) => seen.rows.find(([, now]) => now >= rows)?.[0] ?? Number.NaN;
  const firstRow = when(1);
  const before = requests.filter(({ start }) => start - seen.origin < firstRow);
  const longest = (list) => Math.max(0, ...list.filter(([start]) => start >= seen.paint).map(([, length]) => length));
  await page.close();
  return {
    paint: seen.paint, nodes: seen.nodes, row: firstRow, first: when(50), all: scrolls ? Number.NaN : when(n), secure: seen.secure,
    gap, task: longest(seen.tasks), frame: longest(seen.frames), requests: before.length, trips: roundTrips(before), rows: seen.rows, tasks: seen.tasks,
    asked: requests.map(({ start, end, url: what }) => `${Math.round(start - seen.origin)} to ${Math.round(end - seen.origin)} ${what}`),
  };
}

/** Profiles of the page and of each of its workers. */
async function profileAll(context, page, stops) {
  mkdirSync(options.profile, { recursive: true });
  const session = await context.newCDPSession(page);
  let names = 0;
  const start = async (send, name) => {
    await send("Profiler.enable");
    await send("Profiler.setSamplingInterval", { interval: 200 });
    await send("Profiler.start");
    stops.push(async (label) => {
      const result = await send("Profiler.stop").catch(() => undefined);
      if (result?.profile !== undefined) writeFileSync(`${options.profile}/${label}-${name}.cpuprofile`, JSON.stringify(result.profile));
    });
  };
  await start((method, params) => session.send(method, params), "page");
  const waiting = new Map();
  let ids = 0;
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    waiting.get(id)?.(error === undefined ? result : undefined);
    waiting.delete(id);
  });
  session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
    const send = (method, params = {}) => new Promise((resolve) => {
      const id = ++ids;
      waiting.set(id, resolve);
      void session.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method, params }) }).catch(() => resolve(undefined));
    });
    const name = `${/(\w+)\.js$/.exec(targetInfo.url)?.[1] ?? "worker"}${names++}`;
    void start(send, name).then(() => send("Runtime.runIfWaitingForDebugger"));
  });
  await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: true, flatten: false });
}

console.log(`${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), load ${loadavg().map((n) => n.toFixed(2)).join(" ")}; ${keys} keys; ready after ${Date.now() - began} ms`);
for (const [n, { files }] of topics) console.log(`${n} comments, one in 10 at the top: ${files} files with edits and votes`);
console.log(`\n${"".padEnd(26)}${["visit", "paint", "nodes", "1st row", "first 50", "all", "task", "frame gap", "node gap", "requests", "trips"].map((each) => each.padStart(12)).join("")}`);

let late = false;
for (const each of cases) {
  const visits = { first: [], second: [] };
  for (let run = 0; run < runs; run++) {
    const profile = mkdtempSync(join(tmpdir(), "comntr-bench-profile-"));
    const context = await chromium.launchPersistentContext(profile, {
      executablePath,
      headless: true,
      viewport: { width: 1024, height: 800 },
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP plain.example 127.0.0.1`],
    });
    try {
      // A reader's browser has started before he opens the page; this one is busy with itself for a while.
      await new Promise((resolve) => setTimeout(resolve, startMillis));
      const url = `http://${each.host}:${port}/#/${community}/${encodeURIComponent(topics.get(each.n).name)}`;
      for (const which of each.scrolls ? ["first"] : ["first", "second"]) {
        visits[which].push(await visit(context, url, each, `${each.name.replaceAll(/\W+/g, "-")}-${which}-${run}`));
        if (visits[which].at(-1).secure !== (each.host === "localhost")) throw new Error(`${each.host} is ${each.host === "localhost" ? "no" : "a"} secure context`);
      }
    } finally {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    }
  }
  for (const [which, all] of Object.entries(visits)) {
    if (all.length === 0) continue;
    const of = (what) => all.map((one) => one[what]);
    const mid = (what) => String(Math.round(median(of(what))));
    const range = (what) => `${mid(what)} (${Math.round(Math.max(...of(what)))})`;
    const cells = [which, mid("paint"), mid("nodes"), mid("row"), range("first"), each.scrolls ? "" : range("all"), range("task"), range("frame"), each.node ? range("gap") : "", mid("requests"), mid("trips")];
    console.log(each.name.padEnd(26) + cells.map((cell) => cell.padStart(12)).join(""));
    if (which !== "first") continue;
    for (const [what, most] of Object.entries({ ...each.most, task: maxTask })) {
      if (median(of(what)) <= most) continue;
      late = true;
      console.log(`${"".padEnd(26)}${what} was to be ${most} at most`);
    }
  }
  if (options.requests !== undefined) for (const { asked } of visits.first) console.log(asked.join("\n"));
  const rounded = (pairs) => JSON.stringify(pairs.map((pair) => pair.map(Math.round)));
  if (options.rows !== undefined) for (const { rows, tasks } of visits.first) console.log(`rows ${rounded(rows)}\nlong tasks ${rounded(tasks)}`);
}
server.kill("SIGTERM");
await ended;
rmSync(data, { recursive: true, force: true });
if (late) console.log("\nthe page is slower here than it has promised to be on two cores that do nothing else");
process.exit(0);
