// Topics to measure with: signed comments by 200 keys in a tree of replies, with edits and votes, the same each time.
// They are written as files where a server keeps its comments, which adopts them when it starts: SPEC.md, section 3.

import { createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";

export const keys = 200;
/** Of n comments, one in so many stands at the top, is edited, or was voted on. */
const [perTop, perEdit, perVote] = [10, 20, 10];
/** One body in so many has Markdown. */
const perMarkdown = 4;
const firstDate = Date.parse("2026-01-01T00:00:00Z");

const sha1 = (data) => createHash("sha1").update(data).digest("hex");

/** Numbers below 1, the same for the same seed (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const words = "the a of comment server network reply people think maybe never always read write because without under over later page folder key name small large old new".split(" ");
const marks = ["It *matters* that", "See [this page](https://example.org/a) and", "> quoted before\n\nSo", "Run `make test`, then", "- one\n- two\n\nThus", "It is **not** so:"];

const people = Array.from({ length: keys }, (_, i) => {
  // The seed of RFC 8032's private key, behind what PKCS #8 puts before it.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), createHash("sha256").update(`reader ${i}`).digest()]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const key = createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
  return { secret, key, user: `Reader ${i}` };
});

/** Writes a topic of n comments, with their edits and votes, below a server's data folder. */
export function writeThread(data, community, name, n) {
  const next = random(n);
  const below = (limit) => Math.floor(next() * limit);
  const topic = sha1(name);
  const folder = `${data}/${sha1(community)}/${topic}`;
  mkdirSync(folder, { recursive: true });
  let files = 0;
  const put = (who, headers, body) => {
    const lines = [["Public-Key", people[who].key], ["Topic", `${sha1(community)}/${topic}`], ["Date", new Date(firstDate + 60_000 * files++).toISOString().replace(".000", "")], ...headers];
    const message = Buffer.from(`${lines.map(([header, value]) => `${header}: ${value}\n`).join("")}\n${body}`);
    const document = Buffer.concat([Buffer.from(`Signature: ${sign(null, message, people[who].secret).toString("hex")}\n`), message]);
    const id = sha1(document);
    writeFileSync(`${folder}/${id}`, document);
    return id;
  };
  const body = (i) => {
    const text = Array.from({ length: 8 + below(50) }, () => words[below(words.length)]).join(" ");
    return `${below(perMarkdown) === 0 ? `${marks[below(marks.length)]} ` : ""}${text} ${i}.`;
  };
  const comments = [];
  for (let i = 0; i < n; i++) {
    const who = below(keys);
    const parent = i === 0 || below(perTop) === 0 ? [] : [["Parent", comments[below(i)].id]];
    comments.push({ who, id: put(who, [...parent, ["User", people[who].user], ["Name", name]], body(i)) });
    if (below(perEdit) === 0) put(who, [["Kind", "edit"], ["Target", comments[i].id]], `${body(i)} Edited.`);
    // Work that makes a vote count is seconds each; this one is verified and weighed all the same.
    if (below(perVote) === 0) put(below(keys), [["Kind", "vote"], ["Target", comments[below(comments.length)].id]], "up");
  }
  return { topic, files };
}
