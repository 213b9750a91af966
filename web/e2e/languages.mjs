// The page in its languages: each screen in German and in Arabic, from right to left, with nothing left in English.
//
//     node e2e/languages.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's languages_page_test.go starts what it needs.

import { article, ask, at, checkAccess, expect, facts, fault, hostOf, play, post, shows } from "./person.mjs";
import { stringsOf } from "./strings.mjs";

const english = stringsOf("en-US");
const de = stringsOf("de-DE");
const ar = stringsOf("ar-EG");

const topic = "/r/news";
const url = (site = facts.site) => `${site}#/reddit/${encodeURIComponent(topic)}`;
const origins = [facts.site, facts.a];

/** What a text may look like that is not the same in another language; of one that says something of something, with anything in its place. */
function patterns(value, other) {
  if (typeof value === "string") return value === other || !/\p{L}{2}/u.test(value) ? [] : [`^${escape(value)}$`];
  if (typeof value === "function") return [7, 1, 0].flatMap((n) => {
    // A number does as a name, but where that is shortened.
    const [said, also] = [value, other].map((what) => what(...Array.from({ length: what.length }, () => (/slice|toLowerCase/.test(what) ? String(n) : n))));
    return said === also ? [] : [`^${escape(said).replaceAll(String(n), ".+")}$`];
  });
  return Object.entries(value).flatMap(([key, each]) => patterns(each, other?.[key]));
}
const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * What the page says itself, in texts and attributes: not what people wrote, names, keys and addresses, nor what is marked
 * as another language's. Serialized into the page.
 */
function texts() {
  const given = ".body, bdi, code, kbd, .excerpt, .key, [lang]:not(html), [dir=ltr]:not(html)";
  const all = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
  for (let node = walk.currentNode; node !== null; node = walk.nextNode()) {
    const element = node instanceof Element ? node : node.parentElement;
    if (element === null || element.closest("noscript, script") !== null) continue;
    if (node instanceof Element) {
      for (const name of ["aria-label", "title", "placeholder"]) if (node.hasAttribute(name) && !node.matches("bdi, [dir=ltr]")) all.push(node.getAttribute(name));
    } else if (element.closest(given) === null) all.push(node.data);
  }
  // Isolates are others' words, or in Latin letters for a reason.
  return all.map((text) => text.replace(/[\u2066\u2068][^\u2069]*\u2069/g, "").trim()).filter((text) => text !== "");
}

/** A state of the page: in its language alone, accessible, no wider than a phone. */
async function check(page, { words, lang }, state) {
  const { said, is, dir } = await page.evaluate(`({ said: (${texts})(), is: document.documentElement.lang, dir: getComputedStyle(document.body).direction })`);
  expect(`${state} is in ${is}, ${dir}`, is === lang && dir === words.dir);
  const foreign = patterns(english, words).map((each) => new RegExp(each, "s"));
  for (const text of said) {
    if (foreign.some((each) => each.test(text)) || (words === ar && /[A-Za-z]{2}/.test(text.replace(/comntr|Esc|Enter/g, "")))) fault(`${state} says ${JSON.stringify(text)}`);
  }
  await checkAccess(page, state);
  const size = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  const wide = await page.evaluate(() => [...document.querySelectorAll("html, dialog, .menu")].filter((each) => each.scrollWidth > each.clientWidth).map((each) => `${each.tagName} ${each.scrollWidth} > ${each.clientWidth}`));
  expect(`${state} is too wide: ${wide}`, wide.length === 0);
  await page.setViewportSize(size);
}

/** Remembers whatever is ever said. Serialized into the page. */
function listen() {
  globalThis.ever = "";
  new MutationObserver((records) => {
    for (const { addedNodes, target } of records) globalThis.ever += `${[...addedNodes].map((each) => each.textContent).join("\n")}\n${target.nodeType === Node.TEXT_NODE ? target.data : ""}`;
  }).observe(document, { childList: true, characterData: true, subtree: true });
}

/** Every screen in a language. */
async function screens(open, { words, locale }, texts) {
  const language = { words, lang: locale };
  const { thread, comment, compose, menu, keepName, you } = words;
  at(`${locale}: a topic`);
  const asked = [];
  const page = await open("about:blank", { origins, locale, before: listen });
  page.on("request", (request) => asked.push(new URL(request.url()).pathname.split("/").at(-1)));
  await page.goto(url());
  await shows(page, facts.text);
  await page.getByRole("button", { name: words.page.servers(1) }).waitFor();
  await check(page, language, "a topic");
  expect("nothing was ever said in English", !(await page.evaluate(() => globalThis.ever)).includes(english.page.skip));
  for (const name of ["de.js", "ar.js"]) expect(`${name} was asked for`, asked.filter((each) => each === name).length === (name === `${locale.slice(0, 2)}.js` ? 1 : 0));

  at(`${locale}: a post`);
  await page.getByRole("button", { name: words.page.dismiss, exact: true }).click();
  await page.locator(".composer textarea").click();
  await page.locator(".composer.open textarea").fill(texts[0]);
  await check(page, language, "the composer");
  await page.getByRole("tab", { name: compose.preview }).click();
  await page.locator(".preview .body").waitFor();
  await page.getByRole("tab", { name: compose.write }).click();
  await page.getByRole("button", { name: compose.post }).click();
  await page.getByRole("dialog", { name: keepName.title }).waitFor();
  await page.getByRole("button", { name: keepName.show }).click();
  await check(page, language, "a name is kept");
  await page.getByRole("button", { name: keepName.later }).click();
  await page.getByText(compose.saved(1)).waitFor();
  await ask("signed", texts[0]);

  at(`${locale}: an answer`);
  await article(page, texts[0]).getByRole("button", { name: comment.reply, exact: true }).click();
  await check(page, language, "an answer is written");
  await page.locator("article .composer textarea").fill(texts[1]);
  await page.locator("article .composer textarea").press("Control+Enter");
  await article(page, texts[1]).last().locator(".body").waitFor();
  await check(page, language, "an answer");

  at(`${locale}: the line beside it`);
  const lines = await article(page, texts[1]).last().locator(".lines").boundingBox();
  await page.mouse.click(lines.x + lines.width / 2, lines.y + lines.height / 2);
  await page.locator("article.collapsed").waitFor();
  await page.getByRole("button", { name: comment.expand(1) }).waitFor();
  await check(page, language, "a collapsed comment");
  await page.getByRole("button", { name: comment.expand(1) }).click();

  at(`${locale}: menus`);
  for (const text of [texts[1], facts.text]) {
    const button = article(page, text).last().getByRole("button", { name: comment.more });
    await button.click();
    await page.getByRole("menu").waitFor();
    await check(page, language, "a menu");
    await page.keyboard.press("Escape");
  }
  await article(page, facts.text).getByRole("button", { name: comment.more }).click();
  await page.getByRole("menuitem", { name: menu.report }).click();
  await page.getByRole("dialog").waitFor();
  await check(page, language, "a report");
  await page.keyboard.press("Escape");

  at(`${locale}: a muted name`);
  await article(page, facts.text).getByRole("button", { name: comment.more }).click();
  await page.getByRole("menuitem", { name: menu.mute }).click();
  await page.getByText(menu.muted).waitFor();
  await page.getByText(thread.hiddenMuted(1)).waitFor();
  await check(page, language, "a muted name");
  await page.getByRole("button", { name: comment.undo }).click();

  at(`${locale}: the network`);
  await page.locator("button.status").click();
  await page.getByRole("dialog", { name: words.network.title }).waitFor();
  for (const each of await page.locator("dialog summary").all()) await each.click();
  await check(page, language, "the network");
  await page.keyboard.press("Escape");

  for (const [screen, title] of [["#/", words.home.active], ["#you", you.names], ["#help", words.help.keys]]) {
    at(`${locale}: ${screen}`);
    await page.goto(`${facts.site}${screen}`);
    await page.getByRole("heading", { name: title, exact: true }).waitFor();
    for (const each of await page.locator("main summary").all()) await each.click();
    if (screen === "#/") await page.locator(".list", { hasText: words.home.follow }).getByRole("link", { name: topic }).waitFor();
    await check(page, language, screen);
  }
  at(`${locale}: search`);
  await page.goto(`${facts.site}#search`);
  await page.getByRole("searchbox").fill(texts[1].slice(0, 8));
  await page.getByText(words.thread.comments(1), { exact: true }).waitFor();
  await check(page, language, "search");
  expect("the title is in the language", (await page.title()) === `${words.page.search} · comntr`);
  await page.goto(url());
  await shows(page, texts[1]);
  return page;
}

async function german(open) {
  await screens(open, { words: de, locale: "de-DE" }, ["Ein Kommentar auf Deutsch.", "Eine Antwort darauf."]);
}

async function arabic(open) {
  const page = await screens(open, { words: ar, locale: "ar-EG" }, ["تعليق بالعربية.", "جواب عليه."]);

  at("from right to left");
  const box = async (locator) => locator.boundingBox();
  const end = async (locator) => {
    const { x, width } = await box(locator);
    return x + width;
  };
  const one = (text) => article(page, text).last();
  expect("an answer is indented from the right", (await end(one("جواب").locator(".mark"))) < (await end(one("تعليق").first().locator(".mark"))));
  expect("its line is at the right", Math.abs((await end(one("جواب").locator(".lines"))) - (await end(one("تعليق").first().locator("header")))) < 2);
  await post(page, "An English comment, with an end.");
  const direction = (text) => one(text).locator(".body > *").first().evaluate((each) => getComputedStyle(each).direction);
  expect("an English comment has its own direction", (await direction("An English comment")) === "ltr");
  expect("an Arabic one, too", (await direction("جواب")) === "rtl");
  const more = one("An English comment").getByRole("button", { name: ar.comment.more });
  await more.click();
  expect("a menu begins at its button's right", Math.abs((await end(page.getByRole("menu"))) - (await end(more))) < 2);
  await page.keyboard.press("Escape");
  await page.locator("button.status").click();
  expect("the panel comes from the left", (await box(page.locator("dialog.side"))).x === 0);
  await page.keyboard.press("Escape");
  expect("what is empty begins at the right", (await page.locator(".composer textarea").evaluate((each) => getComputedStyle(each).direction)) === "rtl");
  await page.locator(".composer textarea").fill("English");
  expect("what is typed decides", (await page.locator(".composer textarea").evaluate((each) => getComputedStyle(each).direction)) === "ltr");
}

/** What the reader chooses, over what the browser says. */
async function chosen(open) {
  at("a draft");
  const page = await open(url(), { origins, locale: "de-DE" });
  await shows(page, facts.text);
  await page.locator(".composer textarea").click();
  await page.locator(".composer.open textarea").fill("Ein Entwurf.");
  const choose = async (from, value) => {
    await page.goto(`${facts.site}#you`);
    await page.getByLabel(from.you.language, { exact: true }).selectOption(value);
  };
  const speaks = (words) => page.getByRole("heading", { name: words.you.names, exact: true }).waitFor();

  at("another language");
  await choose(de, "ar");
  await speaks(ar);
  await check(page, { words: ar, lang: "ar" }, "you");
  await choose(ar, "en");
  await speaks(english);
  expect("English is written from left to right", (await page.evaluate(() => document.documentElement.lang + document.dir)) === "enltr");
  await choose(english, "");
  await speaks(de);

  at("the draft is there");
  await page.goto(url());
  await page.waitForFunction(() => document.querySelector(".composer.open textarea")?.value === "Ein Entwurf.");

  at("a language that cannot be had");
  const none = await open("about:blank", { origins, mayFail: new Set([hostOf(facts.site)]), locale: "de-DE" });
  await none.context().route("**/de.js", (route) => route.abort());
  await none.goto(url());
  await shows(none, facts.text);
  await none.getByText(english.page.first).waitFor();
  expect("it is English", (await none.evaluate(() => document.documentElement.lang)) === "en");
  await none.goto(`${facts.site}#help`);
  await none.getByRole("heading", { name: english.help.keys }).waitFor();

  at("English by itself");
  const asked = [];
  const plain = await open("about:blank", { origins });
  plain.on("request", (request) => asked.push(request.url()));
  await plain.goto(url());
  await shows(plain, facts.text);
  await plain.getByRole("button", { name: english.page.servers(1) }).waitFor();
  expect("no language is asked for", !asked.some((each) => /\/(de|ar)\.js$/.test(each)));
}

await play({ german, arabic, chosen });
