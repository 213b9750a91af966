// A person with a browser: what the tests of the page share. What must never be seen is seen here: an exception, a line on
// the console, a request to anybody who was not named, a dialog.

import { chromium } from "playwright-core";

const patience = 30_000;

/** What a scenario is told: {executablePath, and what its test in Go started}; what it does to that it asks of {control}. */
const facts = JSON.parse(process.argv[3] ?? "{}");
const faults = [];
let step = "start";

export { facts };
export const at = (next) => void (step = next);
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

/**
 * A page in a browser of its own. origins: whom it may ask, HTTP and WebSocket alike. mayFail: of those, whom it need not
 * reach; the console tells of each try. quic: HTTP/3 too, where this host is the one after it (Chromium's
 * --host-resolver-rules). before: runs in the page before all else.
 */
export async function open(url, { origins, mayFail = new Set(), quic, before }) {
  // A data folder of its own for each run: launch makes it and removes it.
  const browser = await chromium.launch({
    executablePath: facts.executablePath,
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", quic === undefined ? "--disable-quic" : `--host-resolver-rules=MAP ${quic}`, "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  const context = await browser.newContext({ viewport: { width: 1024, height: 800 }, permissions: ["local-network-access"], ignoreHTTPSErrors: true });
  const page = await context.newPage();
  if (before !== undefined) await page.addInitScript(before);
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
  const asked = (what) => {
    const { protocol } = new URL(what);
    if (protocol !== "data:" && protocol !== "blob:" && !hosts.has(hostOf(what))) fault(`a request to ${what}`);
  };
  const hosts = new Set(origins.map(hostOf));
  page.on("request", (request) => asked(request.url()));
  page.on("websocket", (socket) => asked(socket.url()));
  await page.goto(url);
  return { browser, page };
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

/** Runs the scenario that was asked for, and says what was wrong. */
export async function play(scenarios) {
  const [name] = process.argv.slice(2);
  const opened = [];
  try {
    await scenarios[name](async (...how) => {
      const made = await open(...how);
      opened.push(made);
      return made.page;
    });
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
