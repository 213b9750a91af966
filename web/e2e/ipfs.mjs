// The page and the IPFS network: it reads from there when no server answers, and gives what it holds.
//
//     node e2e/ipfs.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's TestE2EPageOnIPFS and its like start what each scenario needs and say what it is.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, at, comes, expect, facts, fault, hostOf, network, play, shows } from "./person.mjs";

const topic = "/r/news";
const url = (site = facts.site, folder = facts.folder) => `${site}${folder === undefined ? "" : `?folder=${folder}`}#/reddit/${encodeURIComponent(topic)}`;
const signed = "Signed, and on no server any more.";

/** Playwright does not see all that workers ask for. Chromium's own log has each request, socket and session. */
const log = mkdtempSync(join(tmpdir(), "comntr-netlog-"));
process.on("exit", () => rmSync(log, { recursive: true, force: true }));
let logs = 0;
function logged(more = []) {
  const file = join(log, `${logs++}.json`);
  return { file, args: [`--log-net-log=${file}`, ...more] };
}

/**
 * Closes a browser, and looks at every URL that a page or a worker asked for; the browser itself asks for some, too. What
 * was to come from the browser's cache or not at all asked nobody.
 */
async function onlyNamed(opened, file, origins) {
  await opened.at(-1).browser.close();
  const hosts = new Set(origins.map(hostOf));
  const urls = [];
  const text = readFileSync(file, "utf8");
  const onlyFromCache = Number(/"ONLY_FROM_CACHE":(\d+)/.exec(text)[1]);
  for (const line of text.split("\n")) {
    const [, initiator] = /"initiator":"([^"]*)"/.exec(line) ?? [];
    const [, asked] = /"url":"([^"]*)"/.exec(line) ?? [];
    const [, flags] = /"load_flags":(\d+)/.exec(line) ?? [];
    if (asked === undefined || initiator === undefined || !/^https?:/.test(initiator) || (flags & onlyFromCache) !== 0) continue;
    urls.push(asked);
    if (!hosts.has(hostOf(asked))) fault(`${initiator} asked for ${asked}`);
  }
  return urls;
}

const ofNode = (urls) => urls.some((each) => /\/peer\.js$/.test(each));

async function saysIPFS(page) {
  const panel = await network(page);
  await panel.getByText("From the IPFS network: no server answers.").waitFor();
  await panel.getByText("Details").last().click();
  return panel;
}

/** Nothing but an id and a router, by a link and by the site; every server is dead. */
async function dead(open, opened) {
  const origins = [facts.site, facts.server, facts.router, facts.node];
  for (const [how, address, hosts] of [["by a link", url(), origins], ["by the site", url(facts.other, undefined), [facts.other, ...origins.slice(1)]]]) {
    at(how);
    const { file, args } = logged();
    const page = await open(address, { origins: hosts, mayFail: new Set([hostOf(facts.server)]), args });
    await shows(page, signed);
    await page.waitForFunction(() => document.querySelectorAll("article").length === 31);
    await page.getByText("No server answers.").waitFor();
    const panel = await saysIPFS(page);
    await panel.getByText(/^1 node · 32 blocks got, 0 given$/).waitFor();
    const urls = await onlyNamed(opened(), file, hosts);
    expect("the node's program was fetched", ofNode(urls));
    expect("the router was asked", urls.some((each) => each.startsWith(`${facts.router}/routing/v1/providers/`)));
    expect("the node was asked", urls.some((each) => each.startsWith(facts.node)));
  }
  expect("blocks came from the node", Number(await ask("asked")) >= 2 * 32);
}

/** Whoever has the folder gives something else. */
async function liar(open, opened) {
  const origins = [facts.site, facts.server, facts.router, facts.node, facts.gateway];
  at("a lie");
  const { file, args } = logged();
  const page = await open(url(), { origins, mayFail: new Set([hostOf(facts.server)]), args });
  await page.getByText("No server answers.").waitFor();
  for (let lies = 0, asked = 0; lies === 0 || asked === 0; ) [lies, asked] = [Number(await ask("lies")), Number(await ask("asked"))];
  const panel = await network(page);
  await panel.getByText("Reading from no server.").waitFor();
  await panel.getByText("Details").last().click();
  await panel.getByText(/^\d nodes? · 0 blocks got, 0 given$/).waitFor();
  expect("nothing is shown", (await page.locator("article").count()) === 0);
  await onlyNamed(opened(), file, origins);
}

/** A gateway alone. */
async function gateway(open) {
  at("by a gateway");
  const page = await open(url(), { origins: [facts.site, facts.server, facts.gateway], mayFail: new Set([hostOf(facts.server)]) });
  await shows(page, signed);
  await page.waitForFunction(() => document.querySelectorAll("article").length === 31);
  const panel = await saysIPFS(page);
  await panel.getByText(/^0 nodes · 32 blocks got, 0 given$/).waitFor();
}

/** A server whose last word is the id of a newer folder, and whose hello named its node. */
async function dying(open) {
  at("read from a server");
  const mayFail = new Set();
  const page = await open(url(), { origins: [facts.site, facts.server], mayFail, quic: "nobody.invalid 127.0.0.1" });
  expect("the page is secure", await page.evaluate(() => location.protocol === "https:" && isSecureContext));
  await shows(page, signed);
  await ask("post", "Posted while all is well.");
  await comes(page, "Posted while all is well.");

  at("the rest over WebTransport");
  mayFail.add(hostOf(facts.server));
  await ask("die");
  await ask("post", "Posted while it dies.");
  await comes(page, "Posted while it dies.");
  expect("the server is dead", (await ask("dead")) === "true");
  await saysIPFS(page);
}

/** A page that was here before gives its folder to a node that the site named. */
async function gives(open) {
  const mayFail = new Set();
  at("read from a server");
  const page = await open(url(), { origins: [facts.site, facts.server, facts.node, facts.session], mayFail });
  await shows(page, signed);
  await page.waitForFunction(() => document.querySelectorAll("article").length === 31);
  // What is kept is kept by then, and the node is there.
  const panel = await network(page);
  await panel.getByText("Details").last().click();
  await panel.getByText(/^1 node · 0 blocks got, 0 given$/).waitFor();
  await page.keyboard.press("Escape");

  at("given while the server is dead");
  for (const each of [facts.server, facts.session]) mayFail.add(hostOf(each));
  await ask("kill");
  await page.reload();
  await shows(page, signed);
  const again = await network(page);
  await again.getByText("Details").last().click();
  await again.getByText(/^1 node · /).waitFor();
  await ask("get");
  await again.getByText(/^1 node · 0 blocks got, 32 given$/).waitFor();
}

/** Save-Data: no program, no worker, no node. */
async function frugal(open, opened) {
  at("save data");
  const { file, args } = logged();
  const mayFail = new Set();
  const page = await open(url(), {
    origins: [facts.site, facts.server], mayFail, args,
    before: () => Object.defineProperty(navigator, "connection", { value: { saveData: true } }),
  });
  await shows(page, signed);
  // The copy of the page is here, too.
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  mayFail.add(hostOf(facts.server));
  await ask("kill");
  await page.getByText("No server answers.").waitFor();
  const panel = await network(page);
  await panel.getByText("Details").last().click();
  expect("there is no node", (await panel.getByText("IPFS", { exact: true }).count()) === 0);
  const urls = await onlyNamed(opened(), file, [facts.site, facts.server]);
  expect("all was looked at", urls.some((each) => /\/later\.js$/.test(each)));
  expect("the node's program was not fetched", !ofNode(urls));
}

await play({ dead, liar, gateway, dying, gives, frugal });
