// Pictures of the page for people to look at: each screen and state at three widths, light and dark.
//
//     node e2e/looks.mjs <origin of a server> <folder for the pictures> [path of chromium] [locale, such as ar-EG]
//
// It writes into a topic of its own at that server. Nothing is decided here: whoever changes how the page looks runs it
// before and after.

import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";
import { stringsOf } from "./strings.mjs";

const [origin, folder, executablePath = "/usr/bin/chromium", locale = "en-US"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const t = stringsOf(locale);
const widths = [360, 768, 1280];
const topic = `How it looks ${Date.now()}`;
const url = `${origin}/#/reddit/${encodeURIComponent(topic)}`;
const long = "A comment that is long enough to be broken into lines at every width, with *emphasis*, `code`, [a link](https://example.org/) and a word thatisfartoolongtostandinonelineofanarrowwindowbutstandstherenevertheless.\n\n> A quote of what somebody said.\n\n- one\n- two\n\n| name | much |\n|---|---|\n| a | 1 |\n\n```\nlet code = (of) => several + lines;\n```"
  + (t.dir === "rtl" ? "\n\nهذه فقرة بالعربية فيها English و`code` ورابط https://example.org/path/ ورقم 123.\n\n> اقتباس مما قاله أحدهم.\n\n1. أولًا\n2. ثانيًا" : "");

const browser = await chromium.launch({ executablePath, headless: true, args: ["--no-sandbox", "--disable-gpu"] });
const person = async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale, permissions: ["local-network-access"] });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  return page;
};

async function picture(page, name) {
  for (const width of widths) {
    for (const colorScheme of ["light", "dark"]) {
      await page.setViewportSize({ width, height: width < 500 ? 740 : 900 });
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.waitForTimeout(150);
      await page.screenshot({ path: `${folder}/${name}-${width}-${colorScheme}.png` });
    }
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function write(page, within, text, name) {
  await page.locator(`${within} .composer textarea`).first().click();
  await page.locator(`${within} .composer.open textarea`).first().fill(text);
  if (name !== undefined) {
    await page.getByLabel(t.compose.name).fill(name);
    await page.getByLabel(t.compose.name).press("Tab");
    await page.getByRole("button", { name: t.compose.as(name) }).waitFor();
  }
}
const post = async (page, within, text, name) => {
  await write(page, within, text, name);
  await page.locator(`${within} .composer textarea`).first().press("Control+Enter");
  await page.locator("article", { hasText: text.slice(0, 20) }).first().waitFor();
};
const reply = async (page, to, text, name) => {
  await page.locator("article", { hasText: to }).last().getByRole("button", { name: t.comment.reply, exact: true }).click();
  await post(page, "article", text, name);
};
// What was written about goes with the dialog.
const later = async (page) => {
  await page.getByRole("button", { name: t.keepName.later }).click();
  await page.locator("article .composer").waitFor({ state: "detached" });
};

const ann = await person();
await ann.goto(url);
await ann.getByText(t.thread.empty).waitFor();
await picture(ann, "empty");
await ann.getByRole("button", { name: t.page.dismiss, exact: true }).click();
await write(ann, "", long, "Ann");
await picture(ann, "composer");
await ann.getByRole("tab", { name: t.compose.preview }).click();
await ann.locator(".preview em").waitFor();
await picture(ann, "preview");
await ann.getByRole("tab", { name: t.compose.write }).click();
await ann.locator(".composer textarea").press("Control+Enter");
await ann.getByRole("button", { name: t.keepName.show }).click();
await picture(ann, "keep-name");
await later(ann);

const bob = await person();
await bob.goto(url);
await bob.locator("article").first().waitFor();
await reply(bob, "A comment that is long", "An answer by Bob.", "Bob");
await later(bob);
let last = "An answer by Bob.";
for (let n = 1; n <= 9; n++) {
  const next = `Answer ${n} of those that go ever deeper.`;
  await reply(bob, last, next);
  // It is shown before it is sent, and what it was written in goes after.
  await bob.locator("article .composer").waitFor({ state: "detached" });
  last = next;
}
await post(bob, "#main", "Another thread of thoughts, by Bob.");
await ann.locator(".pill button").waitFor();
await picture(ann, "pill");
await ann.locator(".pill button").click();
await ann.locator("article.fresh").first().waitFor();
await ann.evaluate(() => scrollTo(0, 0));
await picture(ann, "thread");
await ann.evaluate(() => scrollTo(0, 1e6));
await picture(ann, "thread-end");
const article = ann.locator("article", { hasText: "An answer by Bob." }).first();
await article.getByRole("button", { name: t.comment.more }).click();
await picture(ann, "menu");
// Another width is another place on the page, and a menu goes when that moves.
if ((await ann.getByRole("menu").count()) === 0) await article.getByRole("button", { name: t.comment.more }).click();
await ann.getByRole("menuitem", { name: t.menu.report }).click();
await picture(ann, "report");
await ann.keyboard.press("Escape");
await article.focus();
await ann.keyboard.press("c");
await ann.locator("article.collapsed").waitFor();
await ann.evaluate(() => scrollTo(0, 0));
await picture(ann, "collapsed");
await ann.keyboard.press("c");
await article.getByRole("button", { name: t.comment.reply, exact: true }).click();
await ann.locator("article .composer textarea").fill("An answer to the answer.");
await picture(ann, "reply");
await ann.keyboard.press("Escape");
await article.getByRole("button", { name: t.comment.more }).click();
await ann.getByRole("menuitem", { name: t.menu.mute }).click();
await ann.getByText(t.menu.muted).waitFor();
await ann.evaluate(() => scrollTo(0, 0));
await picture(ann, "muted");
await ann.getByRole("button", { name: t.thread.show, exact: true }).click();
await picture(ann, "muted-shown");
await ann.locator("button.status").click();
await ann.getByRole("dialog", { name: t.network.title }).waitFor();
for (const each of await ann.locator("dialog summary").all()) await each.click();
await picture(ann, "network");
await ann.keyboard.press("Escape");
await ann.goto(`${origin}/#search`);
await ann.getByRole("searchbox").fill("answer");
await ann.locator(".results li").first().waitFor();
await picture(ann, "search");
await ann.goto(`${origin}/#you`);
await ann.getByRole("heading", { name: t.you.names, exact: true }).waitFor();
for (const each of await ann.locator("summary").all()) await each.click();
await picture(ann, "you");
await ann.evaluate(() => scrollTo(0, 1e6));
await picture(ann, "you-end");
await ann.goto(`${origin}/#help`);
await ann.getByRole("heading", { name: t.help.keys }).waitFor();
await picture(ann, "help");
await ann.goto(`${origin}/#/`);
await ann.getByRole("heading", { name: t.home.follow }).waitFor();
await ann.locator(".list", { hasText: t.home.active }).getByRole("link").first().waitFor();
await picture(ann, "home");
await ann.goto(url);
await ann.locator("article").first().waitFor();
await ann.context().setOffline(true);
await ann.getByText(t.away.offline).waitFor();
await picture(ann, "offline");
await ann.locator("button.status").click();
await picture(ann, "network-offline");
await browser.close();
console.log(`pictures are in ${folder}`);
