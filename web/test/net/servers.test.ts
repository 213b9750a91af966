import { createServer, type Server as HTTPServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { readRemembered } from "../../src/net/index.ts";
import { maxServers, maxStrangers } from "../../src/net/servers.ts";
import { concat } from "../../src/protocol/bytes.ts";
import { carHeader } from "../../src/protocol/car.ts";
import { type Cid, cidBytes } from "../../src/protocol/cid.ts";
import { parseCid } from "../../src/protocol/cidtext.ts";
import type { Fetch } from "../../src/protocol/client.ts";
import { hashOfName } from "../../src/protocol/hash.ts";
import { hello, keyOf } from "./hellos.ts";
import { open, type Page, shows, watch } from "./watch.ts";

const community = hashOfName("reddit");
const place = { community, topic: hashOfName("/r/news") };
const nets: Page[] = [];
const https: HTTPServer[] = [];

afterEach(() => {
  for (const net of nets.splice(0)) net.close();
  for (const http of https.splice(0)) {
    http.closeAllConnections();
    http.close();
  }
});

function page(...args: Parameters<typeof open>): Page {
  const net = open(...args);
  nets.push(net);
  return net;
}

/** A network of servers that only say hello: by origin their seed and what is special of them. */
function network(servers: Record<string, { readonly seed: number; readonly changes?: Record<string, unknown> } | "silent" | "down">): { readonly fetch: Fetch; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    async fetch(url, init) {
      const { origin, pathname } = new URL(url);
      if (pathname === "/.well-known/comntr.json") asked.push(origin);
      const server = servers[origin];
      if (server === "silent") {
        return new Promise((_, reject) => init.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
      }
      if (server === undefined || server === "down") throw new TypeError("fetch failed");
      if (pathname === "/.well-known/comntr.json") return new Response(hello(server.seed, url, server.changes));
      return new Response("{}", { status: 404 });
    },
  };
}

const publicPage = new URL("http://203.0.114.1:4080/");

test("what a hello names is asked, what leads into private networks is not", async () => {
  const inside = ["http://192.168.1.1:80", "http://127.0.0.1:4080", "http://[::ffff:10.0.0.1]:80", "http://localhost:4080", "http://example.org:80", "http://169.254.169.254:80"];
  const { fetch, asked } = network({
    "http://1.1.1.1:4080": { seed: 1, changes: { servers: [...inside, "http://2.2.2.2:4080", "ftp://3.3.3.3", "nonsense"] } },
    "http://2.2.2.2:4080": { seed: 2, changes: { servers: inside } },
  });
  const net = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, page: publicPage });
  await shows(net, "both", (views) => views.filter(({ state }) => state === "working").length === 2);
  expect(net.servers().map(({ origin, foundBy }) => [origin, foundBy])).toEqual([
    ["http://1.1.1.1:4080", "config"],
    ["http://2.2.2.2:4080", "hello"],
  ]);
  expect(asked).toEqual(["http://1.1.1.1:4080", "http://2.2.2.2:4080"]);
  expect(net.servers()[0]).toMatchObject({ contact: "mail@example.org", limits: { maxSize: 65536, newWork: 16 }, carrier: "http" });
});

test("in a private network its servers are neighbours", async () => {
  const { fetch } = network({
    "http://192.168.1.1:4080": { seed: 1, changes: { servers: ["http://192.168.1.2:4080"] } },
    "http://192.168.1.2:4080": { seed: 2 },
  });
  const net = page({ servers: ["."] }, { fetch, page: new URL("http://192.168.1.1:4080/") });
  await shows(net, "both", (views) => views.filter(({ state }) => state === "working").length === 2);
  expect(net.servers().map(({ foundBy }) => foundBy)).toEqual(["host", "hello"]);
});

test("a typed address may be private", async () => {
  const { fetch } = network({ "http://192.168.1.1:4080": { seed: 1 } });
  const net = page({}, { fetch, page: publicPage });
  expect(await net.add("192.168.1.1:4080")).toMatchObject({ state: "working", foundBy: "typed", origin: "http://192.168.1.1:4080" });
  expect(await net.add("not an address")).toMatchObject({ state: "failed", reason: { code: "bad-address" } });
  expect(await net.add("http://1.1.1.1:4080/path")).toMatchObject({ state: "failed", reason: { code: "bad-address" } });
  expect(await net.add("http://9.9.9.9:4080")).toMatchObject({ state: "failed", reason: { code: "unreachable" } });
});

test("a page on https asks nothing by http, and says why", async () => {
  const { fetch, asked } = network({ "http://1.1.1.1:4080": { seed: 1 }, "https://example.org:443": { seed: 2 }, "https://example.org": { seed: 2, changes: { servers: ["http://5.5.5.5:4080"] } } });
  const net = page({ servers: ["http://1.1.1.1:4080", "https://example.org"] }, { fetch, page: new URL("https://comntr.github.io/page/") });
  await shows(net, "one", (views) => views.some(({ state }) => state === "working"));
  expect(await net.add("http://1.1.1.1:4080")).toMatchObject({ state: "failed", reason: { code: "mixed-content" } });
  expect(asked).toEqual(["https://example.org"]);
  expect(net.servers().some(({ origin }) => origin === "http://5.5.5.5:4080")).toBe(false);
});

test("who does not prove himself is not used", async () => {
  const bad: Record<string, string> = {};
  const answers: Record<string, (url: string) => string> = {
    "http://1.1.1.1:1": () => "<html>",
    "http://1.1.1.1:2": (url) => hello(1, url.replace(/nonce=../, "nonce=00")),
    // A stranger's server that passes another one's hello on.
    "http://1.1.1.1:3": (url) => hello(1, url, {}, "http://7.7.7.7:4080"),
    "http://1.1.1.1:4": (url) => hello(1, url).replace(/.(?="\}$)/, (digit) => (digit === "0" ? "1" : "0")),
    "http://1.1.1.1:5": (url) => hello(1, url, { expires: new Date(Date.now() - 1000).toISOString() }),
  };
  const fetch: Fetch = async (url) => new Response((answers[new URL(url).origin] as (url: string) => string)(url));
  for (const origin of Object.keys(answers)) {
    // Each in a page of its own: of one network strangers get two.
    const named = origin.endsWith(":3");
    const net = page(named ? {} : { servers: [origin] }, { fetch, page: publicPage, remembered: named ? { servers: [{ origin, answered: Date.now() }] } : undefined });
    await shows(net, origin, (views) => views[0]?.state === "failed");
    bad[origin] = net.servers()[0]?.reason?.code ?? "";
  }
  expect(Object.values(bad)).toEqual(new Array(5).fill("no-proof"));
});

test("a server of another community is known, and not read", async () => {
  const { fetch } = network({ "http://1.1.1.1:4080": { seed: 1, changes: { communities: [hashOfName("other")] } } });
  const net = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, bounds: { grace: 20 } });
  const seen = watch();
  net.read(place, new Set(), seen);
  await shows(net, "the reason", (views) => views[0]?.reason?.code === "other-community" && views[0].state === "unused");
  await seen.until("unreachable", ({ states }) => states.includes("unreachable"));
});

test("two addresses of one key are one server", async () => {
  const { fetch } = network({ "http://1.1.1.1:4080": { seed: 1 }, "http://2.2.2.2:4080": { seed: 1 } });
  const net = page({ servers: ["http://1.1.1.1:4080", "http://2.2.2.2:4080"] }, { fetch });
  await shows(net, "one", (views) => views.length === 1 && views[0]?.state === "working");
});

test("enough servers of different networks end the search; one network does not", async () => {
  const far = ["http://11.0.0.1:80", "http://22.0.0.1:80", "http://33.0.0.1:80", "http://44.0.0.1:80", "http://55.0.0.1:80"];
  const near = ["http://66.1.0.1:80", "http://66.1.0.2:80", "http://66.1.0.3:80", "http://66.1.0.4:80"];
  const all = Object.fromEntries([...far, ...near].map((origin, i) => [origin.replace(":80", ""), { seed: i + 1 }]));
  const first = network({ ...all, "http://1.1.1.1": { seed: 99, changes: { servers: far } } });
  const net = page({ servers: ["http://1.1.1.1:80"] }, { fetch: first.fetch, page: publicPage });
  await shows(net, "three", (views) => views.filter(({ state }) => state === "working").length >= 3);
  expect(net.servers().filter(({ state }) => state === "unused").length).toBeGreaterThan(0);

  const second = network({ ...all, "http://1.1.1.1": { seed: 99, changes: { servers: [...near, ...far.slice(0, 1)] } } });
  const other = page({ servers: ["http://1.1.1.1:80"] }, { fetch: second.fetch, page: publicPage });
  await shows(other, "one of a third network", (views) => views.some(({ origin, state }) => state === "working" && origin === far[0]));
  // Of a network strangers get two places.
  expect(second.asked.filter((origin) => origin.startsWith("http://66.")).length).toBe(2);
});

test("strangers are bounded, and those that a person named have room", async () => {
  const origins = (n: number, from: number): string[] => Array.from({ length: n }, (_, i) => `http://${from + i}.1.1.1:4080`);
  const servers = Object.fromEntries(origins(4, 200).map((origin, i) => [origin, { seed: i + 1, changes: { servers: origins(32, 11 + 40 * i), communities: [hashOfName("x")] } }]));
  const { fetch } = network(servers);
  const net = page({ servers: origins(4, 200) }, { fetch, page: publicPage });
  await shows(net, "all four", (views) => views.filter(({ state }) => state === "working" || state === "unused").length >= 4);
  await shows(net, "strangers", (views) => views.filter(({ foundBy }) => foundBy === "hello").length === maxStrangers);
  const many = page({ servers: origins(80, 11) }, { fetch: network({}).fetch, page: publicPage });
  expect(many.servers().length).toBe(maxServers);
});

test("what worked is remembered, also that a person chose it", async () => {
  const { fetch } = network({ "http://1.1.1.1:4080": { seed: 1, changes: { trackers: ["wss://tracker.example.org/announce", "ws://127.0.0.1/announce", "nonsense"] } }, "http://192.168.1.1:4080": { seed: 2 } });
  const net = page({ typed: ["http://192.168.1.1:4080"] }, { fetch, page: publicPage, remembered: { servers: [{ origin: "http://1.1.1.1:4080", answered: 1 }, { origin: "http://10.0.0.1:80", answered: 1 }] } });
  await shows(net, "both", (views) => views.filter(({ state }) => state === "working").length === 2);
  expect(net.servers().length).toBe(2);
  const saved = net.saved() as ReturnType<typeof readRemembered>;
  expect(saved.servers.map(({ origin, named }) => [origin, named]).sort()).toEqual([
    ["http://1.1.1.1:4080", false],
    ["http://192.168.1.1:4080", true],
  ]);
  expect(saved.trackers).toEqual(["wss://tracker.example.org/announce"]);
  expect(saved.servers.every(({ answered }) => answered > Date.now() - 60_000)).toBe(true);
  const next = page({}, { fetch, page: publicPage, remembered: saved });
  await shows(next, "both", (views) => views.filter(({ state, foundBy }) => state === "working" && foundBy === "remembered").length === 2);
});

test("what a hello says of WebTransport is remembered with whose it was", async () => {
  const webtransport = { port: 4084, hashes: [] };
  const { fetch } = network({ "http://1.1.1.1:4080": { seed: 1, changes: { webtransport } } });
  const net = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, page: publicPage });
  await shows(net, "it", (views) => views[0]?.state === "working");
  const pins = { key: keyOf(1), at: webtransport };
  expect(readRemembered(JSON.parse(JSON.stringify(net.saved()))).servers).toMatchObject([{ origin: "http://1.1.1.1:4080", pins }]);
  for (const bad of [7, null, {}, { key: 7, at: webtransport }]) expect(readRemembered({ servers: [{ origin: "x", answered: 1, pins: bad }] }).servers).toEqual([{ origin: "x", answered: 1, named: false, pins: undefined }]);
});

test("what was not asked this time is remembered all the same", async () => {
  const { fetch } = network({ "http://1.1.1.1:4080": { seed: 1 } });
  const servers = [{ origin: "http://2.2.2.2:4080", answered: Date.now() - 1000, named: false }];
  const net = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, page: publicPage, remembered: { servers, trackers: ["wss://tracker.example.org"] } });
  await shows(net, "one", (views) => views.some(({ state }) => state === "working"));
  expect(net.saved()).toMatchObject({ servers: [{ origin: "http://1.1.1.1:4080" }, ...servers], trackers: ["wss://tracker.example.org"] });
});

test("a folder is asked for while its server proves itself, and read only when it has", async () => {
  const asked: string[] = [];
  let prove: (value: Response) => void = () => undefined;
  let nonceUrl = "";
  const cid = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
  const fetch: Fetch = (url, init) => {
    const { pathname } = new URL(url);
    asked.push(`${new Headers(init.headers).get("Accept") ?? ""} ${pathname.slice(0, 12)}`);
    if (pathname.startsWith("/.well-known")) {
      nonceUrl = url;
      return new Promise((resolve) => (prove = resolve));
    }
    if (pathname.endsWith("/events")) return new Promise(() => undefined);
    // The folder without comments.
    const empty = Uint8Array.of(0x0a, 0x02, 0x08, 0x01);
    const root = parseCid(cid) as Cid;
    const header = carHeader(root);
    const car = concat([Uint8Array.of(header.length), header, Uint8Array.of(34 + empty.length), cidBytes(root), empty]);
    return Promise.resolve(new Response(new Headers(init.headers).get("Accept") === "text/plain" ? `${cid}\n` : car));
  };
  const net = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, page: publicPage });
  const seen = watch();
  net.read(place, new Set(), seen);
  await shows(net, "both were asked", () => asked.length === 2);
  expect([...asked].sort()).toEqual([" /.well-known", `application/vnd.ipld.car /${community.slice(0, 11)}`]);
  expect(seen.states).toEqual(["searching"]);
  prove(new Response(hello(1, nonceUrl)));
  await seen.until("empty", ({ states }) => states.includes("empty"));
  expect(asked.filter((each) => each.startsWith("application"))).toHaveLength(1);

  asked.length = 0;
  const other = page({ servers: ["http://1.1.1.1:4080"] }, { fetch, page: publicPage });
  const nothing = watch();
  other.read(place, new Set(), nothing);
  await shows(other, "both were asked", () => asked.length === 2);
  prove(new Response("<html>"));
  await shows(other, "no proof", (views) => views[0]?.reason?.code === "no-proof");
  expect(nothing.states).toEqual(["searching"]);
});

test.each([undefined, null, 7, "x", [], { servers: 7 }, { servers: [null, 7, {}, { origin: 7, answered: "x" }], trackers: [7] }])("of what was saved %j is nothing", (value) =>
  expect(readRemembered(value)).toEqual({ servers: [], trackers: [] }),
);

test("a silent server does not keep the others from being asked, and close ends all", async () => {
  const silent = Object.fromEntries(Array.from({ length: 4 }, (_, i) => [`http://${i + 1}.1.1.1:4080`, "silent" as const]));
  const { fetch, asked } = network({ ...silent, "http://9.9.9.9:4080": { seed: 9 } });
  const net = page({ servers: [...Object.keys(silent), "http://9.9.9.9:4080"] }, { fetch });
  await shows(net, "the fifth", (views) => views.some(({ state }) => state === "working"));
  expect(asked.length).toBe(5);
  expect(net.servers().filter(({ state }) => state === "asking").length).toBe(4);
  const adding = net.add("http://1.1.1.1:4080");
  net.close();
  expect(await adding).toMatchObject({ state: "asking" });
});

test("a server that was down is asked again", async () => {
  const http = createServer((request, response) => {
    if (request.url?.startsWith("/.well-known/") === true) response.end(hello(1, `http://127.0.0.1:${port}${request.url}`));
    else response.writeHead(404).end("{}");
  });
  https.push(http);
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  let isDown = true;
  const net = page({ servers: [`http://127.0.0.1:${port}`] }, { fetch: (url, init) => (isDown ? Promise.reject(new TypeError("down")) : fetch(url, init)) });
  await shows(net, "down", (views) => views[0]?.state === "failed" && views[0].reason?.code === "unreachable");
  isDown = false;
  // A person presses the button, rather than wait.
  net.read(place, new Set(), watch()).retry();
  await shows(net, "up", (views) => views[0]?.state === "working");
});
