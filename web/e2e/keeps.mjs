// What the page keeps: itself, what was read, what is written. Its host goes away and so does its server, the browser is
// started anew, other versions come.
//
//     node e2e/keeps.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's keeps_page_test.go starts what each scenario needs and says what it is.

import { chromium } from "playwright-core";
import { article, ask, at, checkAccess, expect, facts, firstPost, hostOf, play, shows, tab } from "./person.mjs";

const topic = "/r/news";
const url = `${facts.site}#/reddit/${encodeURIComponent(topic)}`;
const note = (page, text, words = "Waits for a server.") => article(page, text).getByText(words);
const gone = (page, text) => page.waitForFunction((t) => ![...document.querySelectorAll("article")].some((each) => each.textContent.includes(t)), text);
/** What is kept is written a moment later. */
const until = async (what, holds) => {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} does not come`);
};

/** A browser with a folder of its own that outlives it. */
async function person(opened) {
  const context = await chromium.launchPersistentContext(facts.profile, {
    executablePath: facts.executablePath, headless: true, viewport: { width: 1024, height: 800 }, permissions: ["local-network-access"],
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  await context.addInitScript(() => {
    globalThis.looks = 0;
    const prototype = globalThis.ServiceWorkerRegistration?.prototype;
    const update = prototype?.update;
    if (update !== undefined) prototype.update = function () {
      globalThis.looks++;
      return update.call(this);
    };
  });
  const how = { context, origins: [facts.site, facts.a], mayFail: new Set([facts.site, facts.a].map(hostOf)) };
  const open = async (where) => {
    const page = await tab(how);
    opened().push({ browser: context, page });
    await page.goto(where);
    return page;
  };
  return { context, open };
}

async function send(page, text) {
  await page.locator(".composer textarea").first().click();
  await page.locator(".composer.open textarea").first().fill(text);
  await page.locator(".composer textarea").first().press("Control+Enter");
}

async function more(page, text, item) {
  await article(page, text).last().getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

const copies = (page) => page.evaluate(async () => (await caches.keys()).map((name) => name.split(" ").at(-1)));
const folderOf = (page) => page.evaluate(() => /([0-9a-f]{12})\/main\.js/.exec(document.documentElement.innerHTML)?.[1]);

async function keeps(_, opened) {
  at("a first visit");
  let { context, open } = await person(opened);
  let page = await open(url);
  await shows(page, facts.text);
  await firstPost(page, "Written online.");
  await page.getByText("Saved on 1 server.").waitFor();
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  const seen = () => page.evaluate(() => new Promise((resolve) => {
    const request = indexedDB.open("comntr");
    request.onsuccess = () => {
      const all = request.result.transaction("topics").objectStore("topics").getAll();
      all.onsuccess = () => {
        request.result.close();
        resolve(all.result.some(({ seen, packs, bytes }) => seen > 0 && packs > 1 && bytes > 0));
      };
    };
  }));
  await until("what is kept", seen);
  expect("there is one copy", (await copies(page)).length === 1);

  at("no host, no server");
  await ask("host", "down");
  await ask("down");
  await page.reload();
  await shows(page, facts.text);
  await shows(page, "Written online.");
  await page.getByText(/^No server answers\. The page goes on trying\. As you read it last, /).waitFor();
  await checkAccess(page, "no server answers");

  at("other screens");
  await page.keyboard.press("/");
  await page.locator("#words").fill("before");
  await page.getByText("1 comment", { exact: true }).waitFor();
  await page.goto(`${facts.site}#/`);
  await page.locator(".list", { hasText: "Followed" }).getByRole("link", { name: topic }).click();
  await shows(page, facts.text);

  at("writing without a server");
  await send(page, "First of all.");
  await note(page, "First of all.").waitFor();
  await send(page, "In vain.");
  await note(page, "In vain.").waitFor();
  await article(page, facts.text).getByRole("button", { name: "Reply" }).click();
  await page.locator("article .composer textarea").fill("Then an answer.");
  await page.locator("article .composer textarea").press("Control+Enter");
  await note(page, "Then an answer.").waitFor();
  await article(page, facts.text).first().getByRole("button", { name: "Vote up" }).click();
  await article(page, facts.text).first().locator(".score", { hasText: "1" }).waitFor();
  await checkAccess(page, "what waits");
  await article(page, "In vain.").getByRole("button", { name: "Take back" }).click();
  await gone(page, "In vain.");
  await more(page, "Written online.", "Delete");
  await page.getByText("Deleted in a moment").waitFor();

  await page.getByText("Deleted in a moment").waitFor({ state: "detached" });
  await gone(page, "Written online.");

  at("the browser is started anew");
  await context.close();
  ({ context, open } = await person(opened));
  page = await open(url);
  await shows(page, facts.text);
  await note(page, "First of all.").waitFor();
  await note(page, "Then an answer.").waitFor();
  await article(page, facts.text).first().locator(".score", { hasText: "1" }).waitFor();
  expect("what was taken back stays so", (await article(page, "In vain.").count()) === 0);
  await gone(page, "Written online.");

  at("another tab");
  const other = await open(`${facts.site}#you`);
  const waits = other.locator("section", { hasText: "Waits for a server" });
  await waits.getByText("Comment: First of all.").waitFor();
  for (const kind of ["Comment: Then an answer.", "Vote", "Delete"]) await waits.getByText(kind).waitFor();
  await checkAccess(other, "the list of what waits");
  await other.goto(url);
  await note(other, "First of all.").waitFor();
  await send(other, "Last of all.");
  await note(page, "Last of all.").waitFor();

  at("a server answers");
  await ask("up");
  for (const each of [page, other]) {
    await each.waitForFunction(() => ![...document.querySelectorAll("article")].some((one) => one.textContent.includes("Waits for a server.")));
    for (const text of ["First of all.", "Then an answer.", "Last of all."]) await shows(each, text);
  }
  for (const text of ["First of all.", "Then an answer.", "Last of all."]) await ask("has", text);
  await ask("lacks", "Written online.");
  const posts = (await ask("posts")).split("\n");
  expect(`each is posted once, in order: ${JSON.stringify(posts)}`, posts.join() === "Written online.,First of all.,Then an answer.,up,,Last of all.");
  await other.close();

  at("a host that is slow");
  await ask("host", "up");
  await ask("host", "slow");
  await page.reload();
  await shows(page, facts.text);
  await ask("host", "quick");

  at("another version");
  const before = await folderOf(page);
  // What one version waits for holds the next one up no longer than it may.
  await ask("host", "hangs");
  await page.reload();
  await shows(page, facts.text);
  await ask("host", "0123456789ab");
  await page.evaluate(async () => (await navigator.serviceWorker.getRegistration()).update());
  await page.getByText("There is a newer version of this page.").waitFor();
  await checkAccess(page, "a newer page");
  expect(`both are kept: ${await copies(page)}`, (await copies(page)).join() === `${before},0123456789ab`);
  // What comes later of the one that is shown is there.
  expect("its parts come", await page.evaluate(async (folder) => (await fetch(`${folder}/work.js`)).ok, before));
  // Its worker waits for what the one before still does. Without a host, whoever of them is there says which page it is.
  await until("the worker", async () => page.evaluate(async () => {
    const { installing, waiting, active } = await navigator.serviceWorker.getRegistration();
    return installing === null && waiting === null && active.state === "activated";
  }));
  await ask("host", "in time");
  await ask("host", "down");
  await page.getByRole("button", { name: "Reload" }).click();
  await page.waitForFunction(() => document.documentElement.innerHTML.includes("0123456789ab/main.js"));
  await shows(page, facts.text);

  at("a third version");
  await ask("host", "up");
  await ask("host", "late");
  await ask("host", "ba9876543210");
  await page.reload();
  // The browser looks for the next worker of itself, once; the page looks again and again, and when it comes online.
  await page.waitForFunction(() => globalThis.looks >= 2);
  expect("the third version is not there yet", (await copies(page)).join() === `${before},0123456789ab`);
  await ask("host", "in time");
  await until("the third version", async () => {
    await page.evaluate(() => void dispatchEvent(new Event("online")));
    return (await copies(page)).join() === "0123456789ab,ba9876543210";
  });
  expect("who goes there has the newest", (await folderOf(page)) === "ba9876543210");

  at("all is forgotten");
  await page.goto(`${facts.site}#you`);
  await page.getByText(/ of 134\.2 MB at most, from 1 topic\./).waitFor();
  await page.getByText("Forget what was read").click();
  await checkAccess(page, "storage");
  await page.locator("form").getByRole("button", { name: "Forget" }).click();
  await page.getByText("Forgotten.").waitFor();
  await page.getByText("0 kB of 134.2 MB at most, from 0 topics.").waitFor();
  expect("no copy is left", (await copies(page)).length === 0);
  expect("nor who had it", (await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)) === 0);
  expect("the name is", (await page.locator(".people li").count()) === 1);

  at("the host has it no more");
  await page.goto("about:blank");
  page = await open(url);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await ask("host", "gone");
  await page.reload();
  await page.getByText("404 page not found").waitFor();
  await until("the end", async () => (await copies(page)).length === 0);
  expect("it is gone", (await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)) === 0);
}

/** <cid>.ipfs.localhost of a real gateway: an origin of its own. */
async function subdomain(_, opened) {
  at("a subdomain gateway");
  let { context, open } = await person(opened);
  let page = await open(url);
  await shows(page, facts.text);
  await firstPost(page, "Written on IPFS.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Written on IPFS.");
  const name = await page.evaluate(() => document.querySelector("article .name code").textContent);
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await checkAccess(page, "a subdomain gateway");

  at("another visit");
  await context.close();
  ({ context, open } = await person(opened));
  page = await open(`${facts.site}#you`);
  await page.locator(".people li", { hasText: name.slice(0, 12) }).waitFor();

  at("the gateway is gone");
  await page.goto(url);
  await shows(page, "Written on IPFS.");
  await ask("down");
  await page.reload();
  await shows(page, "Written on IPFS.");
  await send(page, "Written without the gateway.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Written without the gateway.");
}

/** A browser that has no room left. */
async function full(_, opened) {
  at("a full disk");
  const { context, open } = await person(opened);
  const page = await open("about:blank");
  await (await context.newCDPSession(page)).send("Storage.overrideQuotaForOrigin", { origin: new URL(facts.site).origin, quotaSize: 1 });
  await page.goto(url);
  await shows(page, facts.text);
  await page.getByText("This browser has no room left").waitFor();
  await checkAccess(page, "no room");
  await page.locator(".notice").getByRole("button", { name: "Dismiss" }).click();

  at("what is written is sent");
  await firstPost(page, "Written without room.");
  await ask("has", "Written without room.");
  await shows(page, "Written without room.");
  await ask("down");
  await send(page, "Written without room or server.");
  await note(page, "Written without room or server.").waitFor();
  await ask("up");
  await ask("has", "Written without room or server.");
  expect("it is said once", (await page.getByText("This browser has no room left").count()) === 0);
}

await play({ keeps, subdomain, full });
