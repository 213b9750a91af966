// The page in Chromium against a real server: read, post, answer, edit, delete with undo, vote, reload, draft, search;
// axe-core on every screen in both themes; no exception, no report of the policy, no line on the console.
//
//     node e2e/page.mjs <origin of a server> [path of chromium]
//
// cmd/comntr's TestE2EPage runs it.

import { chromium } from "playwright-core";
import { violations } from "./axe.mjs";

const [origin, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const patience = 120_000;

const faults = [];
let step = "start";
const fault = (what) => faults.push(`${step}: ${what}`);
function expect(what, holds) {
  if (!holds) fault(what);
}

// A data folder of its own for each run: launch makes it and removes it.
const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const person = () => browser.newContext({ viewport: { width: 1024, height: 800 }, permissions: ["local-network-access", "clipboard-read", "clipboard-write"] });
const context = await person();

function watch(page) {
  page.setDefaultTimeout(patience);
  page.on("pageerror", (error) => fault(`an exception: ${error.stack ?? error}`));
  page.on("console", (message) => {
    // A topic that nobody posted in yet is a 404, and browsers tell of each.
    if (step === "an empty topic" && message.text().includes("404")) return;
    fault(`on the console: ${message.type()} ${message.text()}`);
  });
  page.on("request", (request) => {
    const { origin: asked, protocol } = new URL(request.url());
    if (step === "a policy that holds") return;
    if (asked !== origin && protocol !== "data:" && protocol !== "blob:") fault(`a request to ${request.url()}`);
  });
  return page;
}

async function checkAccess(page, screen) {
  for (const violation of await violations(page)) fault(`axe on ${screen}, ${violation}`);
}

const topic = `e2e ${Date.now()}`;
const url = `${origin}/#/reddit/${encodeURIComponent(topic)}`;
const article = (page, text) => page.locator("article", { hasText: text });
const shows = (page, text) => article(page, text).first().waitFor();
const gone = (page, text) => page.waitForFunction((t) => ![...document.querySelectorAll("article")].some((each) => each.textContent.includes(t)), text);

async function write(page, text) {
  await page.locator(".composer textarea").first().click();
  await page.locator(".composer.open textarea").first().fill(text);
}

try {
  const page = watch(await context.newPage());
  page.on("dialog", (dialog) => void dialog.accept());

  step = "an empty topic";
  await page.goto(url);
  await page.getByText("No comments yet.").waitFor();
  await checkAccess(page, "an empty topic");
  await page.getByRole("button", { name: "Dismiss" }).click();

  step = "the first post";
  await write(page, "A *first* comment with [a link](https://example.org/).");
  await page.getByLabel("Your name").fill("Zoë");
  await page.getByLabel("Your name").press("Tab");
  await page.getByRole("button", { name: "as Zoë" }).waitFor();
  await checkAccess(page, "the composer");
  await page.getByRole("tab", { name: "Preview" }).click();
  await page.locator(".preview em").waitFor();
  await page.getByRole("tab", { name: "Write" }).click();
  await page.locator(".composer textarea").press("Control+Enter");
  await shows(page, "A first comment");
  await page.getByRole("button", { name: "Show the words" }).click();
  // They come with a file of their own.
  await page.locator(".words li").nth(23).waitFor();
  expect("24 words", (await page.locator(".words li").count()) === 24);
  await checkAccess(page, "keep this name");
  await page.getByRole("button", { name: "I have kept it" }).click();
  await page.getByText("Saved on 1 server.").waitFor();

  step = "somebody else";
  const other = watch(await (await person()).newPage());
  await other.goto(url);
  await shows(other, "A first comment");

  step = "an answer";
  await article(page, "A first comment").getByRole("button", { name: "Reply" }).click();
  await page.locator("article .composer textarea").fill("An answer to it");
  await page.locator("article .composer textarea").press("Control+Enter");
  await shows(page, "An answer to it");
  expect("the answer is indented", await article(page, "An answer to it").first().evaluate((each) => each.classList.contains("d1")));

  step = "news that move nothing";
  await other.getByRole("button", { name: "Show 1 new comment" }).click();
  await shows(other, "An answer to it");
  expect("what is new is marked", await article(other, "An answer to it").first().evaluate((each) => each.classList.contains("fresh")));

  step = "an edit";
  await article(page, "An answer to it").last().getByRole("button", { name: "More" }).click();
  await checkAccess(page, "the menu");
  await page.getByRole("menuitem", { name: "Edit" }).click();
  await page.locator("article .composer textarea").fill("An answer, edited");
  await page.getByRole("button", { name: "Save" }).click();
  await shows(page, "An answer, edited");
  await shows(other, "An answer, edited");

  step = "a vote";
  await page.keyboard.press("Escape");
  const voting = other.locator("article", { hasText: "A first comment" }).first();
  await voting.getByRole("button", { name: "Vote up" }).click();
  await page.waitForFunction(() => document.querySelector("article .score")?.textContent === "1", undefined, { timeout: 60_000 });
  expect("the vote is seen", (await voting.getByRole("button", { name: "Vote up" }).getAttribute("aria-pressed")) === "true");

  step = "a delete that is taken back";
  await article(page, "An answer, edited").last().getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Undo" }).click();
  await shows(page, "An answer, edited");

  step = "a delete";
  await article(page, "An answer, edited").last().getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await gone(page, "An answer, edited");
  await gone(other, "An answer, edited");

  step = "a draft outlives a reload";
  await write(page, "Half a thought");
  await page.waitForTimeout(600);
  await page.reload();
  await page.waitForFunction(() => document.querySelector(".composer textarea")?.value === "Half a thought");
  await shows(page, "A first comment");
  await page.locator(".composer textarea").fill("");

  step = "the thread";
  await checkAccess(page, "the thread");
  await page.locator("article").first().focus();
  await page.keyboard.press("c");
  await page.locator("article.collapsed").waitFor();
  await checkAccess(page, "a collapsed thread");
  await page.keyboard.press("c");

  step = "Markdown that is costly to read";
  // What these have cost lexers: seconds, and more stack than there is. The page must answer meanwhile, and show them,
  // as trees or as they were typed.
  for (const [n, [text, shown]] of [["_a__b".repeat(12_000), "^[ab_]{24000,}$"], [">".repeat(2048), "^>{2000,}$"]].entries()) {
    const isShown = ([selector, pattern]) => [...document.querySelectorAll(selector)].some((each) => new RegExp(pattern).test(each.textContent));
    await write(page, text);
    await page.getByRole("tab", { name: "Preview" }).click();
    const start = Date.now();
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 50)));
    expect(`the page answers within a second, not ${Date.now() - start} ms`, Date.now() - start < 1000);
    await page.waitForFunction(isShown, [".preview .body", shown]);
    await page.getByRole("tab", { name: "Write" }).click();
    await page.locator(".composer textarea").press("Control+Enter");
    await page.waitForFunction(isShown, ["article .body", shown]);
    expect(`it is on other pages, too: ${n}`, await other.waitForFunction(() => document.querySelector(".pill button") !== null).then(() => true));
  }

  step = "hidden by the own list";
  await article(other, "A first comment").first().getByRole("button", { name: "More" }).click();
  await other.getByRole("menuitem", { name: "Hide for who uses your list" }).click();
  await other.getByText("1 hidden by your list").waitFor();
  await gone(other, "A first comment");

  step = "the network";
  await page.locator("button.status").click();
  await page.getByText("Reading from 1 server.").waitFor();
  await checkAccess(page, "the network");
  await page.keyboard.press("Escape");

  step = "search";
  await page.locator("article").first().focus();
  await page.keyboard.press("/");
  await page.getByRole("searchbox").fill("first comment");
  await page.locator(".results li").first().waitFor();
  await checkAccess(page, "search");
  await page.locator(".results a").first().click();
  await page.locator("article.focused").waitFor();

  step = "the other screens";
  for (const [screen, waits] of [["#/", "Followed"], ["#you", "Names"], ["#help", "Keys"]]) {
    await page.goto(`${origin}/${screen}`);
    await page.getByRole("heading", { name: waits }).waitFor();
    await page.waitForTimeout(300);
    await checkAccess(page, screen);
  }

  step = "a policy that holds";
  const reports = await page.evaluate(() => new Promise((resolve) => {
    const seen = [];
    addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
    const image = document.createElement("img");
    image.src = "http://127.0.0.1:1/x.png";
    document.body.append(image);
    try {
      document.body.insertAdjacentHTML("beforeend", "<b>x</b>");
    } catch {
      seen.push("refused");
    }
    setTimeout(() => resolve(seen), 200);
  }));
  expect(`images and HTML are refused: ${reports}`, reports.includes("img-src") && reports.includes("refused"));
  // What was provoked is not a fault.
  for (let i = faults.length - 1; i >= 0; i--) if (faults[i].startsWith("a policy that holds: on the console")) faults.splice(i, 1);
  expect("no cookies", (await context.cookies()).length === 0);
} catch (error) {
  fault(error.stack ?? String(error));
} finally {
  await browser.close();
}
for (const each of faults) console.error(each);
console.log(faults.length === 0 ? "the page: all is well" : `the page: ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
