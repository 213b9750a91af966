// This implementation against the Go server, another one of the same page: what they say of the same bytes, and
// whether one reads what the other writes. Only where COMNTR_BIN names the server's program (bin/comntr after make
// build): vitest.config.ts leaves this file out otherwise. COMNTR_TRIES is how many changed documents are posted.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8 } from "../src/protocol/bytes.ts";
import { cidText } from "../src/protocol/cid.ts";
import { getBlocks, getComment, getEvents, getFolder, getHello, getId, postDocument, type Server } from "../src/protocol/client.ts";
import { isPremature, isRefusal } from "../src/protocol/document.ts";
import { childrenOf, openLeaf } from "../src/protocol/folder.ts";
import { hashOf, hashOfName, type Place } from "../src/protocol/hash.ts";
import { leafOf, makeFolder } from "../src/protocol/make.ts";
import { parseDocument } from "../src/protocol/parse.ts";
import { Problem } from "../src/protocol/problem.ts";
import { random } from "./random.ts";
import { type Packed, readVectors, unpack } from "./vectors.ts";

const bin = process.env["COMNTR_BIN"] ?? "comntr";
const minute = (): AbortSignal => AbortSignal.timeout(60_000);
const community = hashOfName("reddit");

let program: ChildProcess;
let data: string;
let server: Server;

async function start(): Promise<void> {
  data = mkdtempSync(join(tmpdir(), "comntr-web-"));
  const flags = ["--data", data, "--listen", "127.0.0.1:0", "--dht-listen", "127.0.0.1:0", "--dht-bootstrap", "none"];
  program = spawn(bin, ["serve", ...flags, "--ipfs-listen", "none", "--rtc-listen", "none", "--webtransport-listen", "none", "--tracker", "none", "--stun", "none", "--rate", "0", "--allow-private"], { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  for await (const part of program.stdout ?? []) {
    said += String(part);
    const origin = /http=(http:\S+)/.exec(said)?.[1];
    if (origin === undefined) continue;
    server = { origin, fetch: (url, init) => fetch(url, init) };
    return;
  }
  throw new Error(`the server did not start: ${said}`);
}

/** What a server says of bytes: a code, or that it took them. */
async function serversWord(place: Place, bytes: Uint8Array): Promise<string> {
  try {
    await postDocument(server, place, bytes, minute());
    return "valid";
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
}

function ourWord(place: Place, bytes: Uint8Array): string {
  const verdict = parseDocument(bytes, place);
  if (isRefusal(verdict)) return verdict.code;
  // Valid, but refused at POST.
  return isPremature(verdict, Date.now()) ? "premature" : "valid";
}

describe("the Go server", () => {
  beforeAll(start, 120_000);
  afterAll(async () => {
    const ended = new Promise((resolve) => program.once("exit", resolve));
    program.kill("SIGTERM");
    await ended;
    rmSync(data, { recursive: true });
  });

  const vectors = readVectors<{ community: string; topic: string; cases: (Packed & { code?: string; date?: string })[] }>("documents.json");
  const here: Place = { community, topic: hashOfName("/r/news") };
  const packed = vectors.cases.map(unpack);

  test("proves itself", async () => {
    expect(await getHello(server, false, minute())).toMatchObject({ communities: [community], cidVersion: 0, limits: { maxSize: 65536, rate: 0 } });
  });

  test("says of the vectors what this program says", async () => {
    for (const bytes of packed) expect(await serversWord(here, bytes)).toBe(ourWord(here, bytes));
  });

  test("says of bytes changed at random what this program says", async () => {
    const pick = random(1);
    const small = packed.filter((bytes) => bytes.length > 200 && bytes.length < 2000);
    const tries = Number(process.env["COMNTR_TRIES"] ?? 500);
    for (let n = 0; n < tries; n++) {
      const bytes = mutate(small[pick(small.length)] as Uint8Array, pick);
      expect(await serversWord(here, bytes), JSON.stringify(new TextDecoder().decode(bytes))).toBe(ourWord(here, bytes));
    }
  });

  test("gives the folder id that this program computes, and a CAR that it reads", async () => {
    const folder = await getFolder(server, here, minute());
    const found: Uint8Array[] = [];
    for await (const { bytes } of folder?.comments ?? []) found.push(bytes);
    expect(found.length).toBeGreaterThan(30);
    const id = await getId(server, here.community, here.topic, minute());
    expect(id).toEqual(folder?.root);
    expect(makeFolder(found.map((bytes) => leafOf(bytes, 0).entry), 0).cid).toEqual(id);
    const [first] = found;
    if (first !== undefined) expect(await getComment(server, here, hashOf(first), minute())).toEqual(first);
  });

  test("tells of a comment, in a sharded folder too, whose nodes can be walked", async () => {
    const there: Place = { community, topic: hashOfName("large") };
    expect(await getId(server, community, there.topic, minute())).toBeUndefined();
    const bodies = Array.from({ length: 3600 }, (_, i) => utf8(`comment ${i}`));
    const events = await getEvents(server, community, there.topic, undefined, minute());
    // Where the listener is, before anything is posted.
    for await (const { id } of events) if (id !== undefined) break;
    const later = bodies.slice(100);
    for (const bytes of bodies.slice(0, 100)) await postDocument(server, there, bytes, minute());
    await Promise.all(Array.from({ length: 16 }, async () => {
      for (let bytes = later.pop(); bytes !== undefined; bytes = later.pop()) await postDocument(server, there, bytes, minute());
    }));
    const id = await getId(server, community, there.topic, minute());
    if (id === undefined) throw new Error("no topic");
    expect(cidText(makeFolder(bodies.map((bytes) => leafOf(bytes, 0).entry), 0).cid)).toBe(cidText(id));
    const [root] = await getBlocks(server, [id], minute());
    if (root === undefined) throw new Error("no root");
    const children = childrenOf(root.bytes, id, [], "topic");
    const blocks = await getBlocks(server, children.map(({ cid }) => cid), minute());
    children.forEach((child, i) => {
      const block = blocks[i];
      if (block === undefined) throw new Error("a block is missing");
      if ("path" in child) expect(childrenOf(block.bytes, child.cid, child.path, "topic").length).toBeGreaterThan(1);
      else openLeaf(block.bytes, child.cid, child.name);
    });
    const folder = await getFolder(server, there, minute());
    let count = 0;
    for await (const { sum } of folder?.comments ?? []) count += sum.collision ? 0 : 1;
    expect(count).toBe(bodies.length);
  });

  test("sends events that are read", async () => {
    const topic = hashOfName("events");
    const bytes = utf8("Cool!");
    const stop = new AbortController();
    const events = await getEvents(server, community, topic, undefined, stop.signal);
    for await (const event of events) {
      if (event.kind === "comment") {
        expect(event).toMatchObject({ topic, comment: hashOf(bytes) });
        break;
      }
      if (event.id !== undefined) await postDocument(server, { community, topic }, bytes, minute());
    }
    stop.abort();
  });
});

/** A document with a byte changed, removed, doubled or put in, or lines exchanged. */
function mutate(bytes: Uint8Array, pick: (n: number) => number): Uint8Array {
  const text = [...bytes];
  // Most of what is to be found lies behind the long hex.
  const at = (): number => (pick(3) === 0 ? pick(text.length) : Math.min(text.length - 1, 220 + pick(130)));
  for (let n = pick(3); n >= 0; n--) {
    const odd = [0x00, 0x0a, 0x0d, 0x20, 0x09, 0x7f, 0x80, 0xc2, 0x85, 0x3a, 0x2d, 0x41, 0x61, 0x30, 0xf0][pick(15)] as number;
    switch (pick(5)) {
      case 0: text[at()] = odd; break;
      case 1: text.splice(at(), 1 + pick(3)); break;
      case 2: text.splice(at(), 0, odd); break;
      case 3: text.splice(at(), 0, ...text.slice(at()).slice(0, pick(40))); break;
      default: {
        const i = text.indexOf(0x0a, at());
        text.splice(i + 1, 0, ...utf8(["Topic: x\n", "X: \u0085\n", "User: a\n", "Date: 2026-11-22T10:00:00Z\n", "\n", "x: y \n", "Kind: vote\n"][pick(7)] as string));
      }
    }
  }
  return Uint8Array.from(text);
}
