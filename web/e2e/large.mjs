// Topics of a thousand and of twenty thousand comments, on the whole page. What is counted here is gated: it may get
// less, and then the gate follows.
//
//     node e2e/large.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's TestE2EPageLarge and TestE2EPageRoundTrips start what each needs.

import { ask, at, expect, facts, hostOf, play, tab } from "./person.mjs";

const { count, sample, branch, oldest, deep } = JSON.parse(facts.forest);
const url = (comment) => `${facts.site}#/reddit/${encodeURIComponent(facts.topic)}${comment === undefined ? "" : `/${comment}`}`;

/**
 * Elements on the page when its first rows are there: a section of fifty comments, and what is around it. Counted 930;
 * more is more to do before anything is seen.
 */
const maxFirstElements = 1023;

const hasRows = (page, n) => page.waitForFunction((want) => document.querySelectorAll("article").length === want, n);

async function sameText(page) {
  const wrong = await page.evaluate((all) => all.filter(({ id, text }) => document.querySelector(`#c-${id} .body`)?.textContent.trim() !== text).map(({ id }) => id), sample);
  expect(`${wrong.length} of ${sample.length} comments do not say what was posted: ${wrong.slice(0, 3)}`, wrong.length === 0);
}

/** In the page: notes how many elements there are when its first comment is shown. */
function countFirst() {
  new MutationObserver((_, observer) => {
    if (document.querySelector("article") === null) return;
    globalThis.firstElements = document.querySelectorAll("*").length;
    observer.disconnect();
  }).observe(document, { subtree: true, childList: true });
}

/** Waits until a comment has the focus and can be seen. */
async function isThere(page, id) {
  await page.waitForFunction((name) => {
    const article = document.getElementById(`c-${name}`);
    if (article === null || document.activeElement !== article) return false;
    const { top, bottom } = article.getBoundingClientRect();
    return top >= 48 && bottom <= innerHeight;
  }, id);
}

async function forest(open, opened) {
  at("all of it");
  const mayFail = new Set();
  const how = { origins: [facts.site, facts.a], mayFail };
  const page = await open(url(), { ...how, before: countFirst });
  await page.getByText(`${count.toLocaleString("en")} comments`, { exact: true }).waitFor();
  await hasRows(page, count);
  await sameText(page);
  expect("the heading is the topic's name", (await page.locator("h1").innerText()) === facts.topic);
  expect("the title is the topic's name", (await page.title()).startsWith(facts.topic));
  const elements = await page.evaluate(() => globalThis.firstElements);
  expect(`${elements} elements when the first rows are shown`, elements <= maxFirstElements);
  console.log(`${elements} elements when the first rows are shown`);

  at("what is far away has its buttons when one comes there, and is as high before");
  const far = page.locator("article:not(.gone)").last();
  expect("no buttons far away", (await far.locator("footer").count()) === 1 && (await far.locator("footer button").count()) === 0);
  const height = () => far.evaluate((article) => {
    // A section that is not near is not laid out.
    article.closest(".part").style.contentVisibility = "visible";
    return article.getBoundingClientRect().height;
  });
  const before = await height();
  await far.scrollIntoViewIfNeeded();
  await far.locator("footer button").first().waitFor();
  expect("a mark", (await far.locator("svg.mark").count()) === 1);
  expect(`${before} and ${await height()} pixels high`, before === (await height()));

  at("a branch is collapsed");
  const top = page.locator(`#c-${branch.id}`);
  await top.focus();
  await page.keyboard.press("c");
  await hasRows(page, count - branch.replies);
  await top.getByRole("button", { name: `Show ${branch.replies.toLocaleString("en")} replies` }).click();
  await hasRows(page, count);

  at("search for the oldest");
  await top.focus();
  await page.keyboard.press("/");
  await page.getByRole("searchbox").fill(/word\d+z/.exec(oldest.text)[0]);
  await page.getByText("1 comment", { exact: true }).waitFor();
  await page.locator(".results a", { hasText: oldest.text }).click();
  await isThere(page, oldest.id);

  at("a link to one in the middle, and every server is gone");
  // A page on loopback is secure, and tries WebTransport, too.
  for (const each of [facts.a, facts.session]) mayFail.add(hostOf(each));
  await ask("kill");
  await page.close();
  const [made] = opened();
  const later = await tab({ ...made, ...how });
  await later.goto(url(deep.id));
  await hasRows(later, count);
  await isThere(later, deep.id);
  await sameText(later);
  await later.getByText("No server answers. The page goes on trying.").waitFor();
}

/** TestE2EPageRoundTrips counts what was asked for until then. */
async function first(open) {
  at("the first comment");
  const page = await open("about:blank", { origins: [facts.site] });
  await page.exposeFunction("shown", () => ask("shown"));
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (document.querySelector("article") === null) return;
      globalThis.shown();
      observer.disconnect();
    }).observe(document, { subtree: true, childList: true });
  });
  await page.goto(url());
  await page.locator("article").first().waitFor();
}

await play({ forest, first });
