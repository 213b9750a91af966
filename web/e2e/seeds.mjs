// A thread outlives its servers in the pages that have it open.
//
//     node e2e/seeds.mjs <scenario> <facts, as JSON>
//
// cmd/comntr's TestE2EPageSeeds starts what it needs: each person is on a computer of their own.

import { createHash } from "node:crypto";
import { ask, at, expect, facts, hostOf, network, play, shows } from "./person.mjs";

const topic = "/r/news";
const url = `${facts.site}#/reddit/${encodeURIComponent(topic)}`;
const texts = facts.texts?.split("|") ?? [];
const sha1 = (text) => createHash("sha1").update(text).digest("hex");

/** What the persons have in common. Their browsers name addresses: .local names need multicast, which ends at the switch. */
function person(name) {
  return {
    executablePath: facts[name],
    origins: [facts.site, facts.tracker, facts.server],
    mayFail: new Set([hostOf(facts.server)]),
    args: ["--disable-features=WebRtcHideLocalIpsWithMdns"],
    // What was shown at any time counts, not only what is there at the end.
    before: () => {
      globalThis.lies = [];
      const look = () => document.body?.textContent.includes(" is clue") && globalThis.lies.push(document.title);
      new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
    },
  };
}

async function says(page, words) {
  const panel = await network(page);
  await panel.getByText(words).waitFor();
  await page.keyboard.press("Escape");
}

async function seeds(open, opened) {
  const showsAll = async (page) => {
    for (const text of texts) await shows(page, text);
  };
  const leave = async () => {
    const { browser } = opened().shift();
    await browser.close();
  };

  at("read from a server");
  const ann = await open(url, person("ann"));
  await showsAll(ann);
  await says(ann, "Reading from 1 server.");

  at("read from another reader");
  await ask("kill");
  const bob = await open(url, person("bob"));
  await showsAll(bob);
  await says(bob, "No server answers. Reading from 1 reader's page.");
  await says(ann, /^Helping 1 reader: .* of 64 MB given\.$/);

  at("a post waits");
  await bob.locator(".composer textarea").first().click();
  await bob.locator(".composer.open textarea").first().fill("Written while nobody takes it.");
  await bob.locator(".composer textarea").first().press("Control+Enter");
  await bob.getByText("Waits for a server. It goes out by itself.").first().waitFor();
  expect("nobody took it", (await bob.getByText(/^Saved on/).count()) === 0);

  at("the first reader leaves, a third one comes");
  await leave();
  const eve = await open(url, person("eve"));
  await showsAll(eve);
  await says(eve, "No server answers. Reading from 1 reader's page.");

  at("pages lie");
  const about = { tracker: facts.tracker, car: facts.car, infohash: sha1(sha1("reddit") + sha1(topic)), path: `/${sha1("reddit")}/${sha1(topic)}` };
  const liars = [];
  for (const name of ["liar", "flood"]) {
    const page = await open(`${facts.site}config.json`, person(name));
    await page.evaluate(lie, { ...about, isEndless: name === "flood" });
    liars.push(page);
  }
  const dan = await open(url, person("dan"));
  await showsAll(dan);
  for (const liar of liars) await liar.waitForFunction(() => globalThis.told > 0);
  for (const page of [bob, eve, dan]) {
    await showsAll(page);
    expect("nothing false was shown", (await page.evaluate(() => globalThis.lies.length)) === 0);
    // Who wrote what waits sees it, and nobody else does.
    expect("there is nothing else", (await page.locator("article").count()) === texts.length + (page === bob ? 1 : 0));
  }

  at("a reader wants none of it");
  const panel = await network(eve);
  await panel.getByLabel("Share with other readers").selectOption("Never");
  await panel.getByText("Reading from no server.").waitFor();
  await eve.reload();
  expect("what was chosen stays", (await (await network(eve)).getByLabel("Share with other readers").inputValue()) === "never");
}

/** In a page: a peer of the topic's swarm that answers every offer, and all that is asked with something false, or without an end. */
function lie({ tracker, car, infohash, path, isEndless }) {
  const binary = (hex) => hex.replace(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16)));
  const bytesOf = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  const peerId = `-XX0001-${Math.random().toString(36).slice(2).padEnd(12, "0").slice(0, 12)}`;
  const socket = new WebSocket(tracker);
  const say = (more) => socket.send(JSON.stringify({ action: "announce", info_hash: binary(infohash), peer_id: peerId, ...more }));
  globalThis.told = 0;
  globalThis.asked = 0;
  socket.onopen = () => say({ event: "started", left: 0, numwant: 0, offers: [] });
  socket.onmessage = async ({ data }) => {
    const { offer, offer_id: id, peer_id: to } = JSON.parse(data);
    if (offer === undefined) return;
    const connection = new RTCPeerConnection();
    connection.ondatachannel = ({ channel }) => speak(channel);
    await connection.setRemoteDescription(offer);
    await connection.setLocalDescription(await connection.createAnswer());
    while (connection.iceGatheringState !== "complete") await new Promise((resolve) => (connection.onicegatheringstatechange = resolve));
    say({ to_peer_id: to, offer_id: id, answer: connection.localDescription });
  };
  const message = (text) => `${String.fromCharCode(...new Uint8Array(Uint32Array.of(text.length).buffer).reverse())}${text}`;
  function speak(channel) {
    channel.binaryType = "arraybuffer";
    const send = (text) => channel.readyState === "open" && channel.send(bytesOf(text));
    let heard = "";
    let isOpen = false;
    channel.onmessage = ({ data }) => {
      heard += String.fromCharCode(...new Uint8Array(data));
      if (!isOpen && heard.length >= 68) {
        isOpen = true;
        send(`\x13BitTorrent protocol\0\0\0\0\0\x10\0\0${binary(infohash)}${peerId}`);
        send(message("\x14\0d1:md6:comntri1eee"));
        heard = heard.slice(68);
      }
      while (isOpen && heard.length >= 4) {
        const length = new DataView(bytesOf(heard.slice(0, 4)).buffer).getUint32(0);
        if (heard.length < 4 + length) return;
        const [body, rest] = [heard.slice(4, 4 + length), heard.slice(4 + length)];
        heard = rest;
        if (body[0] === "\x14" && body[1] === "\x01" && body[2] === "\0") answer(body.slice(3, 7), body.slice(7));
      }
    };
    function answer(number, head) {
      const frame = (type, text = "") => send(message(`\x14\x01${type}${number}${text}`));
      const give = (text, type = "text/plain") => {
        frame("\x01", `d7:headersd12:content-type${type.length}:${type}e6:statusi200ee`);
        for (let n = 0; n < text.length; n += 8192) frame("\x02", text.slice(n, n + 8192));
        frame("\x03");
      };
      if (isEndless) {
        globalThis.told++;
        frame("\x01", "d7:headersde6:statusi200ee");
        const more = setInterval(() => (channel.readyState === "open" ? frame("\x02", "\0".repeat(16384)) : clearInterval(more)), 1);
        return;
      }
      if (!head.includes(path)) {
        frame("\x01", "d7:headersde6:statusi404ee");
        return frame("\x03");
      }
      // There seems to be something new, so that it is asked for.
      if (!head.includes("vnd.ipld.car")) return give(`QmPe74HRsj5zqPdQA9JwFWYe9oMTwHwYWVYU85NFxaqv${"XYZ"[globalThis.asked++ % 3]}X\n`);
      // First less than all of it, then a bit that is another one.
      const whole = atob(car);
      give(globalThis.told++ === 0 ? whole.slice(0, -20) : whole.replace(" is blue", " is clue"), "application/vnd.ipld.car");
    }
  }
}

await play({ seeds });
