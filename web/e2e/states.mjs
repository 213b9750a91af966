// What the page says and does when things are not as they should be, and what it marks: each with a real server that is
// so. Every state is looked at by axe-core.
//
//     node e2e/states.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's states_page_test.go starts what each scenario needs and says what it is.

import { article, ask, at, checkAccess, comes, expect, facts, fault, firstPost, hostOf, network, play, post, showNew, shows, tab } from "./person.mjs";
import { costly } from "./vectors.mjs";

const topic = "/r/news";
const url = (site = facts.site) => `${site}#/reddit/${encodeURIComponent(topic)}`;
// session: a page on loopback is secure, and tries WebTransport, too.
const servers = () => [facts.a, facts.b, facts.session].filter((each) => each !== undefined);
const origins = () => [facts.site, ...servers()];
const gone = (page, text) => page.waitForFunction((t) => ![...document.querySelectorAll("article")].some((each) => each.textContent.includes(t)), text);
const inField = (page, text) => page.waitForFunction((t) => document.querySelector(".composer textarea")?.value === t, text);
const more = async (page, text, item) => {
  await article(page, text).last().getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
};

/** Of a server that is slow, away or behind, nothing may be said that only a lie deserves. */
async function noWarning(page) {
  expect("no server is said to lie", (await page.getByText(/false data|not what was asked for/).count()) === 0);
}

/** http:// and an address: no crypto.subtle, no clipboard, no locks. */
async function plain(open) {
  at("a page that is not secure");
  const address = new URL(facts.site).hostname;
  const page = await open(url(), { origins: origins(), clock: true, args: [`--host-resolver-rules=MAP ${address} 127.0.0.1`] });
  const has = await page.evaluate(() => ({ secure: isSecureContext, subtle: crypto.subtle !== undefined, clipboard: navigator.clipboard !== undefined }));
  expect(`it has ${JSON.stringify(has)}`, !has.secure && !has.subtle && !has.clipboard);
  await shows(page, facts.text);

  at("a signed post");
  await firstPost(page, "Posted from an address.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("signed", "Posted from an address.");

  at("a reply");
  await article(page, facts.text).getByRole("button", { name: "Reply" }).click();
  await page.locator("article .composer textarea").fill("Answered from an address.");
  await page.locator("article .composer textarea").press("Control+Enter");
  await shows(page, "Answered from an address.");
  await ask("signed", "Answered from an address.");

  at("a vote");
  await article(page, facts.text).first().getByRole("button", { name: "Vote up" }).click();
  await article(page, facts.text).first().locator(".score", { hasText: "1" }).waitFor();

  at("an edit");
  await more(page, "Answered from an address.", "Edit");
  await page.locator("article .composer textarea").fill("Edited from an address.");
  await page.getByRole("button", { name: "Save" }).click();
  await shows(page, "Edited from an address.");
  await ask("signed", "Edited from an address.");

  at("a link where nothing can be copied");
  await more(page, "Posted from an address.", "Copy link");
  await page.getByText("The link is in the address bar.").waitFor();
  expect("the address is the comment's", /\/[0-9a-f]{40}$/.test(page.url()));

  at("a delete");
  await more(page, "Edited from an address.", "Delete");
  await page.getByText("Deleted in a moment").waitFor();
  await page.clock.runFor(11_000);
  await gone(page, "Edited from an address.");
  await ask("lacks", "Edited from an address.");
}

/** Two servers that know nothing of each other. */
async function alone(open) {
  at("what one server has");
  const page = await open(url(), { origins: origins(), clock: true });
  const waiting = new Set();
  page.on("request", (request) => !request.url().includes("/events") && waiting.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => waiting.delete(request));
  await comes(page, facts.text);
  await comes(page, "Only on A.");
  await page.getByRole("button", { name: "Network: 2 servers" }).waitFor();
  const mark = page.getByText("on one server", { exact: true });

  at("not at once");
  await page.clock.runFor(5000);
  expect("what came a moment ago is not marked", (await mark.count()) === 0);

  at("after two minutes");
  // The servers are compared now and then: the clock goes on until they were. It waits for answers, which come in their
  // own time: else they would all be late.
  for (let seconds = 0; seconds < 600 && (await mark.count()) === 0; seconds++) {
    await page.clock.runFor(1000);
    await page.waitForTimeout(5);
    while (waiting.size > 0) await page.waitForTimeout(5);
  }
  await article(page, "Only on A.").getByText("on one server", { exact: true }).waitFor();
  expect("what both have is not marked", (await mark.count()) === 1);
  await noWarning(page);
  await checkAccess(page, "on one server");
}

/** One of two servers answers much later, and has more. */
async function late(open) {
  at("the one that answers");
  const page = await open(url(), { origins: origins(), clock: true });
  await shows(page, facts.text);
  await page.locator(".topic").getByText("1 comment", { exact: true }).waitFor();
  // Others are waited for while what they have may still come in its place.
  await ask("heard");
  await page.clock.runFor(4000);
  await ask("late");

  at("what comes late is new");
  await page.locator(".pill button").waitFor();
  expect("nothing moves", (await article(page, "Only on B.").count()) === 0);
  await page.waitForFunction(() => document.title.startsWith("(1) "));
  await checkAccess(page, "new comments");
  await showNew(page, "Only on B.");
  expect("it is marked as new", await article(page, "Only on B.").evaluate((each) => each.classList.contains("fresh")));
  await noWarning(page);
}

/** A moderator's list, made on the command line. */
async function moderated(open) {
  at("a list is chosen");
  const page = await open(url(), { origins: origins() });
  await shows(page, facts.text);
  await shows(page, "Buy things.");
  await page.goto(`${facts.site}#you`);
  await page.getByText("Add a list", { exact: true }).first().click();
  await page.getByRole("textbox", { name: "Add a list" }).fill("news mods");
  await page.keyboard.press("Enter");
  await page.getByText("Name a list by its link").waitFor();
  await page.getByRole("textbox", { name: "Add a list" }).fill(await ask("hide", "Buy things."));
  await page.keyboard.press("Enter");
  // What it is called comes with what it says.
  await page.getByRole("heading", { name: "news mods" }).waitFor();
  await page.getByRole("button", { name: "Use this list" }).click();
  await page.getByRole("checkbox", { name: "Use news mods" }).waitFor();
  await checkAccess(page, "a chosen list");

  at("hidden by the list");
  await page.goto(url());
  await page.getByText("1 hidden by news mods").waitFor();
  await gone(page, "Buy things.");
  await shows(page, facts.text);
  await checkAccess(page, "hidden by a list");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await shows(page, "Buy things.");
  await article(page, "Buy things.").getByText("Hidden by news mods.").waitFor();
  await checkAccess(page, "what was hidden");
  await page.getByRole("button", { name: "Hide", exact: true }).click();
  await gone(page, "Buy things.");

  at("another visit");
  await page.reload();
  await page.getByText("1 hidden by news mods").waitFor();
  await gone(page, "Buy things.");

  at("mute");
  await more(page, "Mute me.", "Mute");
  await page.getByText("Muted in this browser.").waitFor();
  await page.getByText("1 from names you muted").waitFor();
  await gone(page, "Mute me.");
  await checkAccess(page, "a muted name");
  await page.getByRole("button", { name: "Undo" }).click();
  await shows(page, "Mute me.");

  at("report");
  await more(page, "Mute me.", "Report");
  const sheet = page.getByRole("dialog", { name: "Report a comment" });
  await sheet.getByText("Nobody can delete a comment everywhere").waitFor();
  const mail = await sheet.getByRole("link", { name: facts.contact }).getAttribute("href");
  expect(`a letter has the comment's link and id: ${mail}`, /^mailto:abuse@operator\.example\?subject=.+&body=http.*%2F([0-9a-f]{40})%0A\1$/.test(mail));
  expect("it gives the comment's link", /#\/reddit\/.*\/[0-9a-f]{40}$/.test(await sheet.getByRole("textbox").inputValue()));
  await checkAccess(page, "the report sheet");
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "detached" });
}

/** Somebody answers. */
async function replies(open) {
  at("notifications are allowed");
  const page = await open(`${facts.site}#you`, {
    origins: origins(), permissions: ["notifications"], clock: true,
    // What the page tells the browser to show is shown, and noted, for no browser says what a page shows. That the person
    // looks elsewhere is feigned: a browser without a screen hides no page.
    before: () => {
      globalThis.away = false;
      Object.defineProperty(Document.prototype, "visibilityState", { get: () => (globalThis.away ? "hidden" : "visible") });
      globalThis.notified = [];
      globalThis.Notification = class extends Notification {
        constructor(title, how) {
          super(title, how);
          globalThis.notified.push({ title, body: how.body, tag: how.tag });
          globalThis.click = () => this.dispatchEvent(new Event("click"));
        }
      };
    },
  });
  await page.getByLabel("Notify me of replies while this page is open").check();
  await page.goto(url());
  await shows(page, facts.text);
  await firstPost(page, "Who answers me?");
  await page.getByText("Saved on 1 server.").waitFor();

  at("a reply while it is looked at");
  await page.clock.runFor(4000);
  await ask("reply", "An answer.");
  await page.waitForFunction(() => document.title.startsWith("(1) "));
  expect("there is no notification for what is seen", (await page.evaluate(() => globalThis.notified.length)) === 0);
  await showNew(page, "An answer.");
  await page.waitForFunction(() => !document.title.startsWith("("));

  at("a reply while it is not");
  const looksAway = (away) => page.evaluate((is) => {
    globalThis.away = is;
    document.dispatchEvent(new Event("visibilitychange"));
  }, away);
  await looksAway(true);
  await ask("reply", "Another answer.");
  await page.waitForFunction(() => globalThis.notified.length === 1);
  const [told] = await page.evaluate(() => globalThis.notified);
  expect(`it says who and what: ${JSON.stringify(told)}`, told.title === `Bob answers you in ${topic}` && told.body === "Another answer." && /^[0-9a-f]{40}$/.test(told.tag));
  await page.waitForFunction(() => document.title.startsWith("(1) ") && document.querySelector("link[rel=icon]").href.includes("circle"));
  await looksAway(false);
  await page.evaluate(() => globalThis.click());
  await shows(page, "Another answer.");
  await page.waitForFunction((id) => document.activeElement.id === `c-${id}`, told.tag);
  await page.waitForFunction(() => !document.title.startsWith("(") && !document.querySelector("link[rel=icon]").href.includes("circle"));

  at("a reply of a name that is muted, and many at once");
  await page.clock.runFor(61_000);
  await more(page, "Another answer.", "Mute");
  await looksAway(true);
  await ask("reply", "Not heard.");
  await page.locator(".pill button").or(page.getByText(/^\d from names you muted$/)).first().waitFor();
  expect("it is not told of", (await page.evaluate(() => globalThis.notified.length)) === 1);
  for (let i = 0; i < 7; i++) await ask("other", `Heard ${i}.`);
  await page.waitForFunction(() => /^\([78]\) /.test(document.title));
  // Of each reply a tab has first to be the one that tells of it.
  await page.waitForFunction(() => globalThis.notified.length >= 6);
  expect("five in a minute are", (await page.evaluate(() => globalThis.notified.length)) === 6);
  await looksAway(false);
  await page.goto(`${facts.site}#you`);
  await page.getByRole("button", { name: "Unmute" }).click();
  await page.goto(url());
  await shows(page, "Heard 6.");

  at("a reply in a topic that is not open");
  await page.goto(`${facts.site}#/`);
  await page.getByRole("heading", { name: "Followed" }).waitFor();
  await looksAway(true);
  await page.clock.runFor(61_000);
  await ask("reply", "A third answer.");
  // At once: the page's patience with a server is not to run out before that can have answered.
  await page.clock.fastForward(5 * 60_000);
  await page.waitForFunction(() => globalThis.notified.at(-1).body === "A third answer.");
  await page.waitForFunction(() => document.title.startsWith("(1) "));
  await looksAway(false);
  await page.getByRole("heading", { name: "Replies to you" }).waitFor();
  await page.getByText("1 reply to you").waitFor();
  await page.locator(".list", { hasText: "Active" }).getByRole("link", { name: topic }).waitFor();
  await checkAccess(page, "topics with replies and active ones");
  await page.locator(".list", { hasText: "Replies to you" }).getByRole("link", { name: topic }).click();
  await shows(page, "A third answer.");

  at("the page is replaced");
  await looksAway(true);
  await ask("newer");
  await page.clock.fastForward(61 * 60_000);
  await looksAway(false);
  await page.getByText("There is a newer version of this page.").waitFor();
  await checkAccess(page, "a newer page");
  expect("it can be loaded", (await page.getByRole("button", { name: "Reload" }).count()) === 1);
}

/** A server that wants work for each comment. */
async function work(open) {
  at("work is paid");
  // A topic that nobody posted in yet is a 404, and browsers tell of each.
  const page = await open(url(), { origins: origins(), mayFail: new Set(servers().map(hostOf)) });
  await page.getByText("No comments yet.").waitFor();
  await firstPost(page, "Paid for.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("paid", "Paid for.");
}

/** A server that wants so much that there is time to look. */
async function toil(open) {
  at("work is shown");
  const page = await open(url(), { origins: origins(), mayFail: new Set(servers().map(hostOf)) });
  await page.getByText("No comments yet.").waitFor();
  await page.locator(".composer textarea").first().click();
  await page.locator(".composer.open textarea").first().fill("Not worth it.");
  await page.getByRole("button", { name: "Post" }).click();
  await page.getByText(/^The server asks for work first: \d+%\.$/).waitFor();
  await checkAccess(page, "work is paid");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Post" }).waitFor();
  await inField(page, "Not worth it.");
}

/** A server that takes nothing more of this key. */
async function refused(open) {
  at("what is taken");
  const page = await open(url(), { origins: origins(), mayFail: new Set(servers().map(hostOf)) });
  await page.getByText("No comments yet.").waitFor();
  await firstPost(page, "Taken.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("deny", "Taken.");

  at("what is refused");
  await send(page, "Refused.");
  await page.getByText("No server takes it:").waitFor();
  await inField(page, "Refused.");
  await gone(page, "Refused.");
  await page.getByRole("button", { name: "Try again" }).waitFor();
  await checkAccess(page, "refused");

  at("what is refused no more");
  await ask("allow");
  const saved = page.getByText("Saved on 1 server.");
  const again = page.getByRole("button", { name: "Try again" });
  // A server looks at its list now and then.
  for (let tries = 0; tries < 30 && (await saved.count()) === 0; tries++) {
    await again.click();
    await saved.or(again).first().waitFor();
  }
  await saved.waitFor();
  await shows(page, "Refused.");
  await ask("has", "Refused.");
}

async function send(page, text) {
  await page.locator(".composer textarea").first().click();
  await page.locator(".composer.open textarea").first().fill(text);
  await page.locator(".composer textarea").first().press("Control+Enter");
}

/** A server that takes one comment a minute. */
async function limited(open) {
  at("too fast");
  const page = await open(url(), { origins: origins(), mayFail: new Set(servers().map(hostOf)) });
  await page.getByText("No comments yet.").waitFor();
  await firstPost(page, "Post 0.");
  let n = 0;
  const limit = page.getByText(/^Too many posts at once\. Try again in \d+ seconds?\./);
  for (; n < 100 && (await limit.count()) === 0; ) {
    await send(page, `Post ${++n}.`);
    await page.getByText("Saved on 1 server.").or(limit).first().waitFor();
  }
  await limit.waitFor();
  await inField(page, `Post ${n}.`);
  await checkAccess(page, "too many posts");
}

async function offline(open, opened) {
  at("online");
  const page = await open(url(), { origins: origins(), mayFail: new Set([...servers(), facts.site].map(hostOf)), clock: true });
  await shows(page, facts.text);
  await firstPost(page, "Posted online.");
  await page.getByText("Saved on 1 server.").waitFor();

  at("offline");
  // What comes later is here.
  for (let seconds = 0; seconds < 60 && !(await page.evaluate(() => navigator.serviceWorker.controller !== null)); seconds++) {
    await page.clock.runFor(1000);
    await page.waitForTimeout(50);
  }
  const [{ context }] = opened();
  await context.setOffline(true);
  await page.getByText(/^You are offline\. As you read it last, now\./).waitFor();
  await page.getByRole("button", { name: "Network: Offline" }).waitFor();
  await shows(page, facts.text);
  await noWarning(page);
  const panel = await network(page);
  await panel.getByText("You are offline.").waitFor();
  await page.keyboard.press("Escape");

  at("a post while offline");
  await send(page, "Posted offline.");
  await article(page, "Posted offline.").getByText("Waits for a server.").waitFor();
  await inField(page, "");

  at("a delete while offline");
  await more(page, "Posted online.", "Delete");
  await page.getByText("Deleted in a moment").waitFor();
  await inTime(page, page.getByText("Not deleted yet: it is tried again."));
  await gone(page, "Posted online.");
  await ask("has", "Posted online.");

  // The last of it, for the page is online again after.
  await checkAccess(page, "offline");

  at("online again");
  await context.setOffline(false);
  await page.getByRole("button", { name: "Network: 1 server" }).waitFor();
  await ask("has", "Posted offline.");
  await article(page, "Posted offline.").getByText("Waits for a server.").waitFor({ state: "detached" });
  await shows(page, "Posted offline.");
  await ask("lacks", "Posted online.");
  await noWarning(page);
}

/** Lets the page's time pass until something is there: a server is waited for, and a delete can be taken back so long. */
async function inTime(page, what) {
  for (let seconds = 0; seconds < 300 && (await what.count()) === 0; seconds++) {
    await page.clock.runFor(1000);
    // What is no timer takes its own time.
    await page.waitForTimeout(50);
  }
  await what.waitFor();
}

/** A post is on its way when the page is closed. */
async function closed(open, opened) {
  at("a page that is closed too early");
  const how = { origins: origins(), mayFail: new Set(servers().map(hostOf)) };
  const page = await open(url(), how);
  await shows(page, facts.text);
  await ask("hold");
  await send(page, "On its way.");
  await ask("held");
  await page.close();
  await ask("free");

  at("the next visit sends it");
  const [{ context }] = opened();
  const next = await tab({ context, ...how });
  await next.goto(url());
  await ask("has", "On its way.");
  await shows(next, "On its way.");
}

/** /ipfs/<cid>/ of a gateway whose pages share an origin. */
async function gateway(open, opened) {
  at("a path gateway");
  const page = await open(url(), { origins: origins() });
  await shows(page, facts.text);
  await page.getByText("you can read here, and not write.").waitFor();
  const own = page.getByRole("link", { name: "Open it at an address of its own" });
  const { port } = new URL(facts.site);
  const link = await own.getAttribute("href");
  expect(`the link leads to ${link}`, link === `http://${facts.cid}.ipfs.localhost:${port}/#/reddit/${encodeURIComponent(topic)}`);
  expect("there is nothing to write in", (await page.locator(".composer, article footer :is(.vote, [data-act=reply])").count()) === 0);
  // Keys come with the network.
  await page.getByRole("button", { name: "Network: 1 server" }).waitFor();
  await article(page, facts.text).focus();
  await page.keyboard.press("c");
  await page.locator("article.collapsed").waitFor();
  await page.keyboard.press("c");
  for (const key of ["r", "u", "d", "w"]) await page.keyboard.press(key);
  expect("no key writes", (await page.locator("textarea").count()) === 0);
  await article(page, facts.text).getByRole("button", { name: "More" }).click();
  expect("nobody is asked to hide", (await page.getByRole("menuitem", { name: "Hide for who uses your list" }).count()) === 0);
  await page.keyboard.press("Escape");
  await checkAccess(page, "a path gateway");

  at("nothing is kept");
  await page.goto(`${facts.site}#you`);
  await page.getByText("This browser keeps nothing").waitFor();
  await page.getByRole("button", { name: "New name" }).click();
  await page.locator(".people li").waitFor();
  expect("nor anything else", (await page.evaluate(() => localStorage.length)) === 0);
  expect("nobody takes the place of the page", (await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length)) === 0);
  expect("there is no database", (await page.evaluate(async () => (await indexedDB.databases()).length)) === 0);
  await page.reload();
  await page.getByText("You have no name yet").waitFor();

  at("the address of its own");
  const [{ context }] = opened();
  const at2 = `http://${facts.cid}.ipfs.localhost:${port}`;
  const there = await tab({ context, origins: [...origins(), at2] });
  await there.goto(`${at2}/#/reddit/${encodeURIComponent(topic)}`);
  await shows(there, facts.text);
  await firstPost(there, "Written at an address of its own.");
  await there.getByText("Saved on 1 server.").waitFor();
}

/** Screens that other scenarios do not come by. */
async function screens(open, opened) {
  at("servers that do not answer");
  const mayFail = new Set([facts.b].map(hostOf));
  const page = await open(url(), { origins: origins(), mayFail });
  await shows(page, facts.text);
  const panel = await network(page);
  await panel.getByText("does not answer").waitFor();
  await panel.getByText("It cannot be reached.").waitFor();
  for (const each of await panel.locator("summary").all()) await each.click();
  await checkAccess(page, "the network with a server that does not answer");
  await noWarning(page);
  await panel.getByLabel("Address of a server").fill("nonsense of an address");
  await panel.getByRole("button", { name: "Add a server" }).click();
  await panel.getByText("This is no address of a server.").waitFor();
  await checkAccess(page, "an address that is none");
  await page.keyboard.press("Escape");

  at("active topics");
  await page.goto(`${facts.site}#/`);
  await page.locator(".list", { hasText: "Active" }).getByRole("link", { name: topic }).waitFor();
  await checkAccess(page, "active topics");

  at("search");
  await page.goto(`${facts.site}#search`);
  await page.getByRole("searchbox").fill(facts.text);
  await page.getByText("1 comment", { exact: true }).waitFor();
  await checkAccess(page, "what was found");
  await page.getByRole("searchbox").fill("nothing that anybody said");
  await page.getByText("Nothing that is held here has all these words.").waitFor();
  await checkAccess(page, "nothing found");

  at("no server at all");
  const [{ context }] = opened();
  const none = await tab({ context: context, origins: [facts.lonely, ...origins()], mayFail });
  await none.goto(url(facts.lonely));
  await none.getByText("No server was found.").or(none.getByText("No server answers.")).waitFor();
  await checkAccess(none, "no server");
}

/** Everything by keys alone: the order of Tab, a focus that is seen, Escape. */
async function keyboard(open) {
  at("what Tab comes by");
  const page = await open(url(), { origins: origins() });
  await shows(page, facts.text);
  // Keys come with the network; a page this young takes one for no second one either.
  await page.getByRole("button", { name: "Network: 1 server" }).waitFor();
  const { hash } = new URL(page.url());
  await page.keyboard.press("s");
  expect("a letter alone goes nowhere", new URL(page.url()).hash === hash);
  await shows(page, "An answer.");
  // It opens when the focus comes, so it is opened before.
  await page.locator(".composer textarea").focus();
  await page.locator(".composer.open").waitFor();
  await hasFocus(page, ".composer textarea");
  await comesBy(page, "a topic");
  await page.goto(`${facts.site}#/`);
  await page.locator(".list", { hasText: "Active" }).getByRole("link", { name: topic }).waitFor();
  await comesBy(page, "topics");
  await page.goto(`${facts.site}#you`);
  await page.getByRole("heading", { name: "Names" }).waitFor();
  for (const each of await page.locator("summary").all()) {
    await each.focus();
    await page.keyboard.press("Enter");
  }
  await comesBy(page, "you");
  await page.goto(url());
  await shows(page, "An answer.");

  // Keys come with the network.
  await page.getByRole("button", { name: "Network: 1 server" }).waitFor();

  at("the skip link");
  await begin(page);
  await page.keyboard.press("Tab");
  await hasFocus(page, ".skip");
  await page.keyboard.press("Enter");
  await hasFocus(page, "#comments");

  at("the network panel");
  await focusBy(page, "button.status");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Network" }).waitFor();
  await within(page, "dialog.side");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await hasFocus(page, "button.status");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Close" }).focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog").waitFor({ state: "detached" });
  await hasFocus(page, "button.status");

  at("from comment to comment");
  await begin(page);
  await page.keyboard.press("j");
  await hasFocus(page, "article:first-of-type");
  const first = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("j");
  await hasFocus(page, "article.d1");
  await page.keyboard.press("p");
  await hasFocus(page, `#${first}`);
  await page.keyboard.press("c");
  await page.locator("article.collapsed").waitFor();
  await hasFocus(page, `#${first}`);
  await page.keyboard.press("c");
  await page.locator("article.d1").waitFor();

  at("the menu");
  await page.keyboard.press("m");
  await page.getByRole("menu").waitFor();
  await hasFocus(page, "[role=menuitem]:first-child");
  await page.keyboard.press("ArrowUp");
  await hasFocus(page, "[role=menuitem]:last-child");
  await page.keyboard.press("Home");
  await hasFocus(page, "[role=menuitem]:first-child");
  await page.keyboard.press("Escape");
  await page.getByRole("menu").waitFor({ state: "detached" });
  await hasFocus(page, `#${first} [data-act=more]`);
  await page.keyboard.press("Enter");
  await hasFocus(page, "[role=menuitem]:first-child");
  await page.keyboard.press("End");
  await hasFocus(page, "[role=menuitem]:last-child");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Report a comment" }).waitFor();
  await within(page, "dialog.sheet");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await hasFocus(page, `#${first} [data-act=more]`);

  at("an answer");
  await page.keyboard.press("r");
  await hasFocus(page, `#${first} .composer textarea`);
  await page.keyboard.press("Escape");
  await page.locator("article .composer").waitFor({ state: "detached" });
  await hasFocus(page, `#${first}`);
  await page.keyboard.press("r");
  await hasFocus(page, `#${first} .composer textarea`);
  await page.keyboard.type("Typed *with* keys.");
  await page.keyboard.press("Shift+Tab");
  await hasFocus(page, `#${first} [role=tab][aria-selected=false]`);
  await page.keyboard.press("Enter");
  await page.locator(".preview em").waitFor();
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await hasFocus(page, `#${first} .composer textarea`);
  await page.keyboard.press("Control+Enter");
  await shows(page, "Typed with keys.");

  at("keep this name");
  await page.getByRole("dialog", { name: "Keep this name" }).waitFor();
  await within(page, "dialog.sheet");
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  await hasFocus(page, `#${first}`);

  at("keep this name, after a comment of its own");
  await page.keyboard.press("w");
  await hasFocus(page, ".composer textarea");
  await page.keyboard.type("Typed too.");
  await page.keyboard.press("Control+Enter");
  await page.getByRole("dialog", { name: "Keep this name" }).waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog").waitFor({ state: "detached" });
  // On a phone what is open lies over the comments.
  await page.locator(".composer.open").waitFor({ state: "detached" });

  at("an edit that is given up");
  const own = await article(page, "Typed with keys.").last().getAttribute("id");
  await page.locator(`#${own}`).focus();
  await page.keyboard.press("m");
  await hasFocus(page, "[role=menuitem]:first-child");
  await page.getByRole("menuitem", { name: "Edit" }).press("Enter");
  await hasFocus(page, `#${own} .composer textarea`);
  await page.keyboard.press("Escape");
  await page.locator("article .composer").waitFor({ state: "detached" });
  await hasFocus(page, `#${own}`);

  at("a delete that is taken back");
  await page.keyboard.press("m");
  await hasFocus(page, "[role=menuitem]:first-child");
  await page.getByRole("menuitem", { name: "Delete" }).press("Enter");
  await hasFocus(page, `#${own} [data-act=undo]`);
  await page.keyboard.press("Enter");
  await page.locator(`#${own} [data-act=more]`).waitFor();
  await hasFocus(page, `#${own}`);

  at("to the composer, to other screens and back");
  await page.keyboard.press("w");
  await hasFocus(page, ".composer textarea");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  await page.getByRole("heading", { name: "Keys" }).waitFor();
  await page.keyboard.press("/");
  await hasFocus(page, "#words");
  await page.keyboard.type("keys");
  await page.getByText("1 comment", { exact: true }).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await hasFocus(page, `#${own}`);
  await page.keyboard.press("g");
  await page.keyboard.press("y");
  await page.getByRole("heading", { name: "Names" }).waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("h");
  await page.getByRole("heading", { name: "Followed" }).waitFor();
}

/** So long the page may answer nobody while a topic of costly text is opened, on a machine that does other things, too. */
const maxGapMillis = 1500;

/** All that costs much, at once. */
const heavy = [
  ...costly,
  "<b>".repeat(2000),
  "<b>x</b>".repeat(2000),
  Array.from({ length: 300 }, (_, n) => `${" ".repeat(2 * n)}- deep`).join("\n").slice(0, 60_000),
  Array.from({ length: 2000 }, (_, n) => `${n + 1}. x`).join("\n"),
  "x".repeat(60_000),
  `https://example.org/${"y".repeat(60_000)}`,
  "\u202e" + "\u05d0\u05d1\u05d2 ".repeat(2000),
  "\u200b\u200d\u2066".repeat(3000) + "x",
  "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}".repeat(205),
  "e" + "\u0301".repeat(20_000),
];
const names = ["\u202eenna", "Zero\u200b\u200d\u2060width", "\u05d0\u05d1\u05d2", "\u2066\u2066\u2066", "N".repeat(200), "\u{1f600}".repeat(40)];

/** A topic of nothing but costly text, and some that is not. */
async function costlyTopic(open) {
  at("posting");
  for (const [i, text] of heavy.entries()) {
    await ask("say", JSON.stringify({ user: names[i % names.length], text }));
    await ask("say", JSON.stringify({ user: `Ann${i}`, text: `Plain comment ${i}.` }));
  }

  at("costly text at once");
  let least = Number.POSITIVE_INFINITY;
  // Other programs take the processor, too, now and then. What the page itself costs, it costs each time.
  for (let visit = 0; visit < 4 && least > maxGapMillis; visit++) {
    const page = await open(url(), {
      origins: origins(),
      before: () => {
        globalThis.longest = 0;
        new PerformanceObserver((list) => {
          for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration);
        }).observe({ type: "longtask", buffered: true });
      },
    });
    await page.waitForFunction((n) => document.querySelectorAll("article").length === n, 2 * heavy.length);
    for (let i = 0; i < heavy.length; i++) expect(`plain comment ${i} is shown`, (await page.getByText(`Plain comment ${i}.`, { exact: true }).count()) === 1);
    const marks = await page.evaluate(() => [...document.querySelectorAll("article .name bdi")].filter((each) => /[\p{Cc}\u200b\u200d\u2060\u202a-\u202e\u2066-\u2069]/u.test(each.textContent)).length);
    expect(`${marks} names have characters that nobody sees`, marks === 0);
    // All of it comes into sight once.
    await page.evaluate(async () => {
      for (let at = 0; at < document.documentElement.scrollHeight && at < 100_000; at += innerHeight * 4) {
        scrollTo(0, at);
        await new Promise(requestAnimationFrame);
      }
    });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(`the page is ${wide} px wider than its window`, wide <= 0);
    const longest = await page.evaluate(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return globalThis.longest;
    });
    least = Math.min(least, longest);
    console.log(`the longest task: ${Math.round(longest)} ms`);
    await page.close();
  }
  expect(`the page answers nobody for ${Math.round(least)} ms`, least <= maxGapMillis);
}

const hasFocus = (page, selector) =>
  page.waitForFunction((want) => document.activeElement?.matches(want), selector, { timeout: 60_000 }).catch(async () => {
    const is = await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 120));
    throw new Error(`the focus is on ${is}, not on ${selector}`);
  });

/** Puts the focus before all that is on the page. */
const begin = (page) =>
  page.evaluate(() => {
    const start = document.createElement("i");
    start.tabIndex = -1;
    document.body.prepend(start);
    start.focus();
    start.remove();
  });

/** Presses Tab until an element has the focus. */
async function focusBy(page, selector) {
  for (let i = 0; i < 100; i++) {
    if (await page.evaluate((want) => document.activeElement?.matches(want), selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not come by ${selector}`);
}

/** Tab stays within what lies over the page. */
async function within(page, selector) {
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    // The browser's own bar is in the round, too: then the page's body has the focus.
    const out = await page.evaluate((box) => document.activeElement !== document.body && document.activeElement.closest(box) === null && document.activeElement.outerHTML.slice(0, 120), selector);
    if (out !== false) fault(`Tab leaves ${selector} for ${out}`);
  }
}

/** Tab comes by all that can be operated, in the order in which it is read, and shows where it is. */
async function comesBy(page, screen) {
  await begin(page);
  const wanted = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((each) => each.tabIndex >= 0 && !each.disabled && each.checkVisibility());
    // Of radio buttons, one is come by.
    globalThis.wanted = all.filter((each) => each.type !== "radio" || each.checked);
    return globalThis.wanted.length;
  });
  for (let i = 0; i < wanted; i++) {
    await page.keyboard.press("Tab");
    const wrong = await page.evaluate((n) => {
      const { activeElement } = document;
      if (activeElement !== globalThis.wanted[n]) return `${activeElement?.outerHTML.slice(0, 120)} has the focus, not ${globalThis.wanted[n].outerHTML.slice(0, 120)}`;
      const { outlineStyle, outlineWidth } = getComputedStyle(activeElement);
      if (outlineStyle === "none" || Number.parseFloat(outlineWidth) < 2) return `the focus is not seen on ${activeElement.outerHTML.slice(0, 120)}`;
      const { top, bottom } = activeElement.getBoundingClientRect();
      const bar = activeElement.closest(".bar, .skip") === null ? document.querySelector(".bar").getBoundingClientRect().bottom : 0;
      return bottom <= bar || top >= innerHeight ? `the focus is out of sight on ${activeElement.outerHTML.slice(0, 120)}` : undefined;
    }, i);
    if (wrong !== undefined) return fault(`${screen}: ${wrong}`);
  }
}

await play({ costly: costlyTopic, keyboard, plain, alone, late, moderated, replies, work, toil, refused, limited, offline, closed, gateway, screens });
