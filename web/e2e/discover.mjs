// The page from a static host that knows no server: it finds servers, reads from several of them and posts to several.
//
//     node e2e/discover.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's TestE2EPageDiscovers and its like start what each scenario needs and say what it is.

import { ask, at, comes, expect, facts, fault, firstPost, hostOf, network, play, post, showNew, shows } from "./person.mjs";
import { costly, vectors } from "./vectors.mjs";

const topic = "/r/news";
const url = () => `${facts.site}#/reddit/${encodeURIComponent(topic)}`;

/** Nothing is known but a tracker; facts.nowhere is the server's own address, and leads to nobody. */
async function tracker(open) {
  at("found by a tracker");
  const page = await open(url(), { origins: [facts.site, facts.tracker, facts.nowhere], mayFail: new Set([hostOf(facts.nowhere)]) });
  await shows(page, facts.text);
  await isByTracker(page);

  at("a post over the data channel");
  await firstPost(page, "Posted over the data channel.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Posted over the data channel.");

  at("news over the data channel");
  await ask("post", "Posted while the page is open.");
  await showNew(page, "Posted while the page is open.");
}

async function isByTracker(page) {
  const panel = await network(page);
  await panel.getByText("answers · over WebRTC · found on a tracker").waitFor();
  await panel.getByText("Details").last().click();
  await panel.getByText("led to 1 server").waitFor();
  await page.keyboard.press("Escape");
}

/** The same by another's tracker; the server's address is of use, too, and one server by two ways is one. */
async function other(open) {
  at("found by another's tracker");
  const page = await open(url(), { origins: [facts.site, facts.tracker, facts.a] });
  await shows(page, facts.text);

  at("a post");
  await firstPost(page, "Posted to who was found.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Posted to who was found.");

  at("the better way");
  const panel = await network(page);
  await panel.getByText("answers · over HTTP · found on a tracker").waitFor();
  expect("one server is shown once", (await panel.locator(".servers > li").count()) === 1);
}

/** Two servers that copy from each other; one of them dies. */
async function two(open) {
  at("read from two");
  const mayFail = new Set();
  const page = await open(url(), { origins: [facts.site, facts.a, facts.b, ...facts.also.split(" ")], mayFail });
  await shows(page, facts.text);
  await page.getByRole("button", { name: "Network: 2 servers" }).waitFor();

  at("a post to two");
  await firstPost(page, "Posted to both.");
  await page.getByText("Saved on 2 servers.").waitFor();
  await ask("hasA", "Posted to both.");
  await ask("hasB", "Posted to both.");

  at("one dies");
  // A page on loopback is secure, and tries WebTransport, too.
  for (const each of [facts.a, facts.session, ...facts.also.split(" ")]) mayFail.add(hostOf(each));
  await ask("kill");
  await ask("post", "Posted to the one that is left.");
  await showNew(page, "Posted to the one that is left.");
  await post(page, "Posted after a death.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("hasB", "Posted after a death.");
  const panel = await network(page);
  await panel.getByText("does not answer").waitFor();
  await panel.getByText("Reading from 1 server.").waitFor();
}

/** A server whose comments are not what their names say. */
async function liar(open) {
  at("a lie");
  const page = await open(url(), { origins: [facts.site, facts.a, facts.b, facts.also], mayFail: new Set() });
  const seen = await page.evaluateHandle(() => {
    // What was shown at any time counts, not only what is there at the end.
    const lies = [];
    const look = () => document.body.textContent.includes(" is clue") && lies.push(document.title);
    new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
    look();
    return lies;
  });
  await shows(page, facts.text);
  const panel = await network(page);
  await panel.getByText("not used").waitFor();
  await panel.getByText("It gave false data.").waitFor();
  await panel.getByText("Reading from 1 server.").waitFor();
  await page.keyboard.press("Escape");
  expect("lies were told", Number(await ask("lies")) > 0);

  at("a post to the honest one");
  await firstPost(page, "Posted to who is honest.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Posted to who is honest.");
  expect("nothing false was shown", (await seen.evaluate((lies) => lies.length)) === 0);
}

/** Two servers that know nothing of each other, each without what the other has. */
async function gaps(open) {
  at("what either has");
  const page = await open(url(), { origins: [facts.site, facts.a, facts.b], mayFail: new Set() });
  for (const text of [facts.text, "Only on A.", "Only on B."]) await comes(page, text);
  const panel = await network(page);
  await panel.getByText("Reading from 2 servers; they differ, and you see what all of them have.").waitFor();
  await page.keyboard.press("Escape");

  at("news of either");
  for (const act of ["postA", "postB"]) {
    await ask(act, `News by ${act}.`);
    await showNew(page, `News by ${act}.`);
  }
}

/** A page on https; the server has an address, no name and no certificate. */
async function secure(open) {
  at("found from a secure page");
  const page = await open(url(), { origins: [facts.site, facts.tracker] });
  expect("the page is secure", await page.evaluate(() => location.protocol === "https:" && isSecureContext));
  await shows(page, facts.text);
  await isByTracker(page);
  await firstPost(page, "Posted from a secure page.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Posted from a secure page.");
}

/** A page on https and a server with an address, no name and no certificate, as `secure`; but WebTransport is spoken. */
async function sessions(open) {
  const origins = [facts.site, facts.tracker];
  // Where the server's address leads: nobody has it.
  const { hostname, host } = new URL(facts.address);
  const quic = `${hostname} 127.0.0.1`;
  const mayFail = new Set();
  const shown = async (page, words) => {
    const panel = await network(page);
    await panel.getByText(words).waitFor();
    await page.keyboard.press("Escape");
  };
  const says = async (page, text) => {
    await post(page, text);
    await page.getByText("Sending…").waitFor({ state: "hidden" });
    await page.getByText("Saved on 1 server.").waitFor();
    await ask("has", text);
  };

  at("from the tracker to WebTransport");
  const page = await open(url(), { origins, quic, mayFail });
  expect("the page is secure", await page.evaluate(() => location.protocol === "https:" && isSecureContext));
  await shows(page, facts.text);
  await shown(page, "answers · over WebTransport · found on a tracker");
  await firstPost(page, "Posted over WebTransport.");
  await page.getByText("Saved on 1 server.").waitFor();
  await ask("has", "Posted over WebTransport.");
  await ask("post", "Posted while a session is open.");
  await showNew(page, "Posted while a session is open.");

  at("known from before, without a tracker");
  mayFail.add(hostOf(facts.tracker));
  await ask("tracker", "off");
  await page.reload();
  await shows(page, "Posted while a session is open.");
  await shown(page, "answers · over WebTransport · known from before");
  await says(page, "Posted without a tracker.");

  at("another certificate");
  mayFail.add(host);
  await ask("tracker", "on");
  await ask("restart", "another certificate");
  await says(page, "Posted to another certificate.");
  await shown(page, "answers · over WebTransport · known from before");

  at("another certificate while the page was closed");
  await page.goto("about:blank");
  await ask("restart", "another certificate");
  await page.goto(url());
  await shows(page, "Posted to another certificate.");
  await shown(page, "answers · over WebTransport · known from before");

  at("switched off");
  await ask("restart", "none");
  await says(page, "Posted without WebTransport.");
  await shown(page, "answers · over WebRTC · known from before");
  await ask("restart", "");

  at("a browser without it");
  const old = await open(url(), { origins, before: () => delete globalThis.WebTransport });
  await shows(old, "Posted without WebTransport.");
  await shown(old, "answers · over WebRTC · found on a tracker");

  at("no UDP");
  const shut = await open(url(), { origins, quic: `${hostname} ~NOTFOUND`, mayFail: new Set([host]) });
  await shows(shut, "Posted without WebTransport.");
  await shown(shut, "Not over WebTransport: It cannot be reached.");
  await shown(shut, "answers · over WebRTC · found on a tracker");
}

/** So long the page may answer nobody. */
const maxGapMillis = 1000;

/** What comments say stays what they say. */
async function hostile(open) {
  for (const each of vectors) await ask("say", each);

  at("vectors");
  const page = await open(`${facts.site}#/reddit/${encodeURIComponent(facts.topic)}`, { origins: [facts.site, facts.a] });
  const count = vectors.length;
  await page.waitForFunction((n) => document.querySelectorAll("article").length === n, count);
  // Until the worker has answered, the text stands there as it is.
  await page.waitForFunction((n) => document.querySelectorAll("article .body:not(.text)").length === n, count);
  await page.mouse.wheel(0, 100_000);
  const found = await page.evaluate(() => {
    // What a comment's body is made of: ui/body.tsx.
    const tags = new Set("p em strong del code pre blockquote ul ol li a br hr div table tbody tr th td".split(" "));
    const attributes = new Set("dir class tabindex start href rel target".split(" "));
    const wrong = [];
    for (const body of document.querySelectorAll("article .body")) {
      if (body.textContent.trim() === "" && body.querySelector("hr") === null) wrong.push(`nothing of ${body.closest("article").id}`);
      for (const element of body.querySelectorAll("*")) {
        if (!tags.has(element.localName) || element.namespaceURI !== document.documentElement.namespaceURI) wrong.push(element.outerHTML);
        for (const { name } of element.attributes) if (!attributes.has(name)) wrong.push(element.outerHTML);
        const isOut = element.localName === "a" && /^(https?:\/\/|mailto:)/.test(element.getAttribute("href"));
        if (element.localName === "a" && !isOut) wrong.push(element.outerHTML);
        if (isOut && element.rel !== "noopener noreferrer nofollow ugc") wrong.push(element.outerHTML);
      }
    }
    for (const element of document.querySelectorAll("body :is(script, iframe, object, embed, img, image, svg:not(.mark), math, video, audio, style, link, meta, base, template)")) wrong.push(element.outerHTML);
    for (const element of document.querySelectorAll("*")) for (const { name } of element.attributes) if (name.startsWith("on")) wrong.push(element.outerHTML);
    for (const element of document.querySelectorAll("a")) if (!["http:", "https:", "mailto:"].includes(element.protocol)) wrong.push(element.outerHTML);
    return wrong;
  });
  for (const each of found) fault(`in the page: ${each}`);
  expect("the topic's name is text", (await page.locator("h1").innerText()) === facts.topic);
  expect("the author's name is text", (await page.getByText(facts.user, { exact: true }).count()) === count);
  // Whatever lies in wait for a pointer or for the keyboard's focus.
  for (const body of await page.locator("article .body").all()) await body.hover({ force: true });
  for (let i = 0; i < 30; i++) await page.keyboard.press("Tab");

  at("costly text");
  await page.evaluate(() => {
    let last = performance.now();
    globalThis.longest = 0;
    setInterval(() => {
      const now = performance.now();
      globalThis.longest = Math.max(globalThis.longest, now - last);
      last = now;
    }, 10);
  });
  let shown = count;
  for (const text of costly) {
    // Other programs take the processor, too, now and then. What the page itself costs, it costs each time.
    let least = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 5 && least > maxGapMillis; n++) {
      await ask("say", `${text}\n${n}`);
      await page.getByRole("button", { name: "Show 1 new comment" }).click();
      // A comment is drawn once it is known how; then comes the layout.
      await page.waitForFunction((n) => document.querySelectorAll("article").length === n, ++shown);
      const gap = await page.evaluate(async () => {
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
        await new Promise((resolve) => setTimeout(resolve, 20));
        const { longest } = globalThis;
        globalThis.longest = 0;
        return longest;
      });
      least = Math.min(least, gap);
    }
    expect(`the page is silent for ${Math.round(least)} ms by ${JSON.stringify(text.slice(0, 8))}`, least <= maxGapMillis);
  }
}

await play({ tracker, other, two, liar, gaps, secure, sessions, hostile });
