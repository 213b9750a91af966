// npm's webtorrent, in a page of its own: by a server's tracker it meets the server and another of its own kind, and by an
// extension of BEP 10, as its interface has them, it asks for the server's hello.
//
//     node e2e/webtorrent.mjs meets <facts, as JSON>
//
// cmd/comntr's TestE2EWebTorrent starts what it needs.

import { ask, at, expect, facts, open, play } from "./person.mjs";

/** In a page: joins a swarm by one tracker, and notes whom it met and what they said of themselves. */
async function join({ tracker, infohash }) {
  const { default: WebTorrent } = await import("./webtorrent.min.js");
  const met = (globalThis.met = {});
  const client = new WebTorrent({ dht: false, lsd: false, tracker: { rtcConfig: { iceServers: [] } } });
  client.on("error", (error) => (globalThis.wrong = String(error)));
  const torrent = client.add(infohash, { announce: [tracker] });
  torrent.on("warning", (error) => (globalThis.wrong = String(error)));
  torrent.on("wire", (wire) => {
    class Hello {
      constructor() {
        wire.extendedHandshake.comntr = { nonce: new Uint8Array(32) };
      }
      onExtendedHandshake({ m, comntr }) {
        met[wire.peerId] = m.comntr === 1 && comntr !== undefined && "hello" in comntr ? new TextDecoder().decode(comntr.hello) : "";
      }
    }
    Hello.prototype.name = "comntr";
    wire.use(Hello);
  });
  return client.peerId;
}

async function meets(opened) {
  const how = { origins: [facts.site, facts.tracker], args: ["--disable-features=WebRtcHideLocalIpsWithMdns"] };
  at("the first");
  const one = await opened(facts.site, how);
  const id = await one.evaluate(join, facts);
  const hello = (page) => page.waitForFunction(() => Object.values(globalThis.met).find((said) => said !== "")).then((found) => found.jsonValue());
  await ask("is its hello", await hello(one));

  at("another");
  const two = await opened(facts.site, how);
  const otherId = await two.evaluate(join, facts);
  await ask("is its hello", await hello(two));
  at("they meet one another");
  await one.waitForFunction((who) => globalThis.met[who] === "", otherId);
  await two.waitForFunction((who) => globalThis.met[who] === "", id);
  for (const page of [one, two]) expect("no error", (await page.evaluate(() => globalThis.wrong)) === undefined);
}

await play({ meets });
