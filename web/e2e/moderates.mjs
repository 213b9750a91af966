// People who keep lists, and people who read with them: two moderators, one of them the other's delegate, a reader, and
// the command line. Two servers, of which the first goes away.
//
//     node e2e/moderates.mjs moderates <facts, as JSON>
//
// cmd/comntr's TestE2EPageModerates starts what it needs and says what it is.

import { article, ask, at, checkAccess, comes, expect, facts, hostOf, play, shows } from "./person.mjs";

const topic = "/r/news";
const thread = `${facts.site}#/reddit/${encodeURIComponent(topic)}`;
const bulk = 30;
const gone = (page, text) => page.waitForFunction((t) => ![...document.querySelectorAll("article")].some((each) => each.textContent.includes(t)), text);
const said = (page, text) => page.getByRole("status").getByText(text).waitFor();

async function more(page, text, item) {
  await article(page, text).last().getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
}

/** Makes a list; its link. */
async function makeList(page, tag) {
  await page.goto(`${facts.site}#you`);
  await page.getByText("Make a list").first().click();
  await page.getByRole("textbox", { name: "Make a list" }).fill(tag);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: tag }).waitFor();
  await page.getByText("You write on this list.").waitFor();
  return page.getByLabel("Its link").inputValue();
}

/** What the command line shows with a list, by the second server: lines of what is hidden, pinned, locked. */
const byCommand = async (list) => JSON.parse(await ask("get", list));

async function moderates(open) {
  // A list that says nothing is a topic that no server has, and browsers tell of each that they ask for in vain.
  const origins = [facts.site, facts.a, facts.b];
  const mayFail = new Set([facts.a, facts.b].map(hostOf));
  const person = () => open(thread, { origins, mayFail });
  const saved = (what) => new RegExp(`^${what}\\. Saved on 2 servers\\.`);

  at("a list is made");
  const ann = await person();
  await shows(ann, "Worth reading.");
  const link = await makeList(ann, "news mods");
  const list = await ask("list", link);
  await checkAccess(ann, "a list that says nothing");

  at("the menu of who keeps a list");
  await ann.goto(thread);
  await more(ann, "Buy things.", "Hide");
  await said(ann, saved("Hidden on news mods"));
  await gone(ann, "Buy things.");
  await more(ann, "Read me first.", "Pin");
  await said(ann, saved("Pinned on news mods"));
  await article(ann, "Read me first.").getByText("pinned").waitFor();
  await article(ann, "Worth reading.").last().getByRole("button", { name: "More" }).click();
  await checkAccess(ann, "the menu of a moderator");
  await ann.getByRole("menuitem", { name: "Lock", exact: true }).click();
  await said(ann, saved("Locked on news mods"));
  await more(ann, "From a nuisance.", "Ban the author");
  await said(ann, saved("Banned on news mods"));
  await gone(ann, "From a nuisance.");
  await ann.getByText("2 hidden by news mods").waitFor();

  at("a delegate");
  const bea = await person();
  await shows(bea, "Worth reading.");
  const theirs = await makeList(bea, "bea");
  await bea.goto(thread);
  await more(bea, "Only Bea minds this.", "Hide");
  await said(bea, saved("Hidden on bea"));
  mayFail.clear();
  await ann.goto(link);
  await ann.getByText("Add a delegate").first().click();
  await ann.getByRole("textbox", { name: "Add a delegate" }).fill(theirs);
  await ann.keyboard.press("Enter");
  await said(ann, saved("Delegate added on news mods"));
  await ann.getByRole("heading", { name: "Hidden (2)" }).waitFor();
  await ann.getByText("by bea").waitFor();
  await checkAccess(ann, "a list's page");

  at("a reader follows the list by its link");
  const reader = await open(link, { origins, mayFail });
  await reader.getByRole("heading", { name: "Hidden (2)" }).waitFor();
  await reader.getByRole("button", { name: "Use this list" }).click();
  await reader.goto(thread);
  await reader.getByText("3 hidden by news mods").waitFor();
  for (const text of ["Buy things.", "From a nuisance.", "Only Bea minds this."]) await gone(reader, text);
  await reader.waitForFunction(() => document.querySelector("article")?.textContent.includes("Read me first."));
  await article(reader, "Worth reading.").getByRole("button", { name: "More" }).first().waitFor();
  expect("what is locked takes no answer", (await article(reader, "Worth reading.").last().getByRole("button", { name: "Reply" }).count()) === 0);

  at("the command line shows the same");
  const same = await byCommand(list);
  expect(`hidden there: ${same.hidden}`, JSON.stringify(same.hidden) === JSON.stringify(["Buy things.", "From a nuisance.", "Only Bea minds this."]));
  expect(`pinned there: ${same.pinned}, locked: ${same.locked}`, same.pinned.join() === "Read me first." && same.locked.includes("Worth reading."));

  at("switched off");
  await reader.goto(`${facts.site}#you`);
  await reader.getByRole("checkbox", { name: "Use news mods" }).uncheck();
  await checkAccess(reader, "lists that are off");
  const asked = [];
  reader.on("request", (request) => asked.push(request.url()));
  await reader.goto(thread);
  for (const text of ["Buy things.", "From a nuisance.", "Only Bea minds this."]) await shows(reader, text);
  expect("a list that is off costs no request", !asked.some((each) => each.includes(list)));
  await reader.goto(`${facts.site}#you`);
  await reader.getByRole("checkbox", { name: "Use news mods" }).check();
  await reader.goto(thread);
  await reader.getByText("3 hidden by news mods").waitFor();

  at("the first server goes away");
  // The console tells of each try.
  mayFail.add(hostOf(facts.a));
  await ask("stop");
  await reader.reload();
  await reader.getByText("3 hidden by news mods").waitFor();
  for (const text of ["Buy things.", "From a nuisance.", "Only Bea minds this."]) await gone(reader, text);

  at("the desk, by keys alone");
  await ask("say", String(bulk));
  await ann.goto(thread);
  await comes(ann, "Bulk 1.");
  await ann.getByRole("button", { name: "Follow", exact: true }).click();
  await ann.keyboard.press("g");
  await ann.keyboard.press("d");
  await ann.getByText(/\d+ new in 1 topic/).waitFor();
  await article(ann, `Bulk ${bulk}.`).waitFor();
  await checkAccess(ann, "the desk");
  await ann.keyboard.press("j");
  const first = ann.locator(".desk article").first();
  expect("j goes to the first", await first.evaluate((each) => each === document.activeElement));
  await ann.keyboard.press("x");
  for (let i = 1; i < bulk; i++) await ann.keyboard.press("j");
  await ann.keyboard.press("Shift+X");
  await ann.getByText(`${bulk} selected`).waitFor();
  await checkAccess(ann, "a selection on the desk");
  // Before they are hidden: who shows a comment again makes it an exception from bans.
  await ann.keyboard.press("b");
  await said(ann, new RegExp(`^Banned on news mods: ${bulk}\\.`));
  expect("their comments are hidden at the server", (await byCommand(list)).hidden.length === bulk + 3);
  await ann.keyboard.press("u");
  await said(ann, new RegExp(`^Unbanned on news mods: ${bulk}\\.`));
  expect("and shown", (await byCommand(list)).hidden.length === 3);

  at("many are hidden at once");
  await ann.keyboard.press("h");
  await said(ann, new RegExp(`^Hidden on news mods: ${bulk}\\. Saved on 1 server\\.`));
  expect("all are hidden", (await ann.locator(".desk article.hidden").count()) >= bulk);
  await article(ann, "Bulk 1.").getByText("Hidden by news mods.").waitFor();
  const hidden = (await byCommand(list)).hidden;
  expect(`the second server has ${hidden.length} of it`, hidden.length === bulk + 3);

  at("the desk's undo");
  await ann.keyboard.press("u");
  await said(ann, new RegExp(`^Shown again on news mods: ${bulk}\\.`));
  expect("none of them is hidden at the server", (await byCommand(list)).hidden.length === 3);

  at("a ban and its undo on the desk");
  await ann.keyboard.press("Escape");
  await ann.keyboard.press("k");
  await ann.keyboard.press("b");
  await said(ann, /^Banned on news mods\./);
  await ann.keyboard.press("b");
  await said(ann, /^Unbanned on news mods\./);
  await ann.keyboard.press("Enter");
  await ann.locator("article.focused").waitFor();

  at("what was seen is not new");
  await ann.goto(`${facts.site}#desk`);
  await ann.getByRole("button", { name: "All seen" }).click();
  await ann.getByText("0 new in 1 topic").waitFor();
  await ann.reload();
  await ann.getByText("0 new in 1 topic").waitFor();
  await ask("say", "1");
  await ann.reload();
  await ann.getByText("1 new in 1 topic").waitFor();

  at("all is undone");
  await ann.goto(link);
  for (const [title, undo] of [["Pinned (1)", "Unpin"], ["Locked (1)", "Unlock"], ["Banned (1)", "Unban"], ["Delegates (1)", "Dismiss"], ["Hidden (1)", "Show"]]) {
    const section = ann.locator("section", { has: ann.getByRole("heading", { name: title }) });
    await section.getByRole("button", { name: undo }).click();
    await section.waitFor({ state: "detached" });
    await said(ann, / on news mods\. Saved on 1 server\./);
  }
  // He reads the list again in a while. Of one that is read anew the first part may hide what a later one shows.
  for (const text of ["Buy things.", "From a nuisance.", "Only Bea minds this."]) await shows(reader, text);
  await reader.waitForFunction(() => !/hidden by/i.test(document.body.innerText));
  const after = await byCommand(list);
  expect(`nothing is left: ${JSON.stringify(after)}`, after.hidden.length === 0 && after.pinned.length === 0 && after.locked.length === 0);
}

await play({ moderates });
