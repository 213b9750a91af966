// A person with a browser: what the tests of the page share. What must never be seen is seen here: an exception, a line on
// the console, a request to anybody who was not named, a dialog.

import { chromium } from "playwright-core";
import { violations } from "./axe.mjs";

/** Machines of CI are slow and do other things, too. */
const patience = 120_000;

/** What a scenario is told: {executablePath, certificate, and what its test in Go started}; what it does to that it asks of {control}. */
const facts = JSON.parse(process.argv[3] ?? "{}");
const faults = [];
const began = Date.now();
let step = "start";

export { facts };
/** Begins a step. When each began is said, too: a test that fails in one may have lost its time in another. */
export function at(next) {
  step = next;
  console.log(`${((Date.now() - began) / 1000).toFixed(1)} s: ${next}`);
}
export const fault = (what) => void faults.push(`${step}: ${what}`);
export function expect(what, holds) {
  if (!holds) fault(what);
}

/** Has the test do something; what it answers. */
export async function ask(act, text = "") {
  const response = await fetch(`${facts.control}/${act}`, { method: "POST", body: text });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${act}: ${answer}`);
  return answer;
}

/** What axe has against a state of the page is a fault. */
export async function checkAccess(page, state) {
  for (const violation of await violations(page)) fault(`axe on ${state}, ${violation}`);
}

/**
 * A page in a browser of its own. origins: whom it may ask, HTTP and WebSocket alike. mayFail: of those, whom it need not
 * reach; the console tells of each try. quic: HTTP/3 too, where this host is the one after it (Chromium's
 * --host-resolver-rules). executablePath: what starts it, where it is to be on another host. args: more of Chromium's.
 * permissions: what the person allows. clock: the page's time is the test's to move. before: runs in the page before all
 * else. locale: the person's language.
 */
export async function open(url, { origins, mayFail = new Set(), quic, executablePath = facts.executablePath, args = [], permissions = [], clock = false, before, locale = "en-US", viewport = { width: 1024, height: 800 } }) {
  // A data folder of its own for each run: launch makes it and removes it.
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox", "--disable-gpu", quic === undefined ? "--disable-quic" : `--host-resolver-rules=MAP ${quic}`, "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // As if an authority had signed it: of a certificate that is only overlooked a browser takes no service worker.
      `--ignore-certificate-errors-spki-list=${facts.certificate}`, ...args,
    ],
  });
  const context = await browser.newContext({ viewport, locale, permissions: ["local-network-access", ...permissions] });
  if (clock) await context.clock.install();
  if (before !== undefined) await context.addInitScript(before);
  const page = await tab({ browser, context, origins, mayFail });
  await page.goto(url);
  return { browser, context, page };
}

/** One more page of the same person. */
export async function tab({ context, origins, mayFail = new Set() }) {
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("pageerror", (error) => fault(`an exception: ${error.stack ?? error}`));
  page.on("dialog", (dialog) => {
    fault(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("popup", (popup) => fault(`a window: ${popup.url()}`));
  page.on("console", (message) => {
    const { url: about } = message.location();
    const isOfNetwork = /^(Failed to load resource|WebSocket connection to|Failed to establish a connection to)/.test(message.text());
    const text = / connection to '?(\S+?)(?:'|: )/.exec(message.text())?.[1] ?? about;
    if (isOfNetwork && URL.canParse(text) && mayFail.has(hostOf(text))) return;
    fault(`on the console: ${message.type()} ${message.text()} (${about})`);
  });
  const hosts = new Set(origins.map(hostOf));
  const asked = (what) => {
    // Chromium escapes what no address may have, and Node does not read that.
    if (!URL.canParse(what)) return void fault(`a request to ${what}`);
    const { protocol } = new URL(what);
    if (protocol !== "data:" && protocol !== "blob:" && !hosts.has(hostOf(what))) fault(`a request to ${what}`);
  };
  page.on("request", (request) => asked(request.url()));
  page.on("websocket", (socket) => asked(socket.url()));
  return page;
}

export const hostOf = (url) => new URL(url).host;

export const article = (page, text) => page.locator("article", { hasText: text });
export const shows = (page, text) => article(page, text).first().waitFor();

export async function post(page, text) {
  await page.locator(".composer textarea").first().click();
  await page.locator(".composer.open textarea").first().fill(text);
  await page.locator(".composer textarea").first().press("Control+Enter");
  await shows(page, text);
}

/** The first post makes a name, and the page asks to keep it. */
export async function firstPost(page, text) {
  await post(page, text);
  await page.getByRole("button", { name: "Later" }).click();
}

/** Shows what is new, and waits until it is. */
export async function showNew(page, text) {
  await page.getByRole("button", { name: /^Show \d+ new comments?$/ }).click();
  await shows(page, text);
}

/** Waits until a comment is there, at once or as news: that depends on who answered first. */
export async function comes(page, text) {
  const news = page.getByRole("button", { name: /^Show \d+ new comments?$/ });
  await article(page, text).or(news).first().waitFor();
  if ((await article(page, text).count()) === 0) await news.click();
  await shows(page, text);
}

/** Opens the network panel; its locator. */
export async function network(page) {
  await page.locator("button.status").click();
  const panel = page.getByRole("dialog", { name: "Network" });
  await panel.waitFor();
  return panel;
}

/** Runs the scenario that was asked for, and says what was wrong. A scenario gets open, and what it opened so far. */
export async function play(scenarios) {
  const [name] = process.argv.slice(2);
  const opened = [];
  try {
    await scenarios[name](async (...how) => {
      const made = await open(...how);
      opened.push(made);
      return made.page;
    }, () => opened);
  } catch (error) {
    fault(error.stack ?? String(error));
    for (const { page } of opened) fault(`the page says: ${await page.evaluate(() => document.body.innerText.slice(0, 1500)).catch(String)}`);
  } finally {
    for (const { browser } of opened) await browser.close();
  }
  for (const each of faults) console.error(each);
  console.log(faults.length === 0 ? `${name}: all is well` : `${name}: ${faults.length} faults`);
  process.exit(faults.length === 0 ? 0 : 1);
}
