import { createServer, type IncomingMessage, type Server as HTTPServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { concat, fromUTF8, utf8, varint } from "../src/protocol/bytes.ts";
import { carHeader } from "../src/protocol/car.ts";
import { type Cid, cidBytes, cidText } from "../src/protocol/cid.ts";
import { getBlocks, getComment, getEvents, getFolder, getId, maxAsked, maxBlocks, postDocument, type Server } from "../src/protocol/client.ts";
import { hashOf, hashOfName } from "../src/protocol/hash.ts";
import { Lie } from "../src/protocol/lie.ts";
import { leafOf, makeFolder } from "../src/protocol/make.ts";
import { maxProblem, parseProblem, Problem } from "../src/protocol/problem.ts";

const place = { community: hashOfName("reddit"), topic: hashOfName("/r/news") };
const cool = utf8("Cool!");
const signal = AbortSignal.timeout(60_000);

type Answer = (request: IncomingMessage, response: ServerResponse, body: Uint8Array) => void;

let http: HTTPServer;
let server: Server;
let answer: Answer;

// A server that says what each test wants said: mostly lies.
beforeAll(async () => {
  http = createServer((request, response) => {
    const parts: Uint8Array[] = [];
    request.on("data", (part: Uint8Array) => parts.push(part));
    request.on("end", () => answer(request, response, concat(parts)));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  server = { origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, fetch: (url, init) => fetch(url, init) };
});

afterAll(() => {
  http.closeAllConnections();
  http.close();
});

/** Answers with a status and a body, and writes down what was asked. */
function says(status: number, body: string | Uint8Array, headers: Record<string, string> = {}): { asked: string[] } {
  const heard = { asked: [] as string[] };
  answer = (request, response, sent) => {
    heard.asked.push(`${request.method} ${request.url} ${request.headers.accept ?? ""} ${fromUTF8(sent)}`);
    response.writeHead(status, headers).end(body);
  };
  return heard;
}

function car(root: Cid, blocks: readonly { cid: Cid; bytes: Uint8Array }[]): Uint8Array {
  const header = carHeader(root);
  const sections = blocks.flatMap(({ cid, bytes }) => [Uint8Array.of(...varint(cidBytes(cid).length + bytes.length)), cidBytes(cid), bytes]);
  return concat([Uint8Array.of(...varint(header.length)), header, ...sections]);
}

const leaf = leafOf(cool, 0);

describe("ids", () => {
  const id = "QmZTmwCF3fHUKi6QD23BspugHZhEYuN8Cm7ZqXY59QVUvH";

  test("of a topic and of a community", async () => {
    const heard = says(200, `${id}\n`);
    expect(cidText((await getId(server, place.community, place.topic, signal)) as Cid)).toBe(id);
    expect(cidText((await getId(server, place.community, undefined, signal)) as Cid)).toBe(id);
    expect(heard.asked).toEqual([`GET /${place.community}/${place.topic} text/plain `, `GET /${place.community} text/plain `]);
  });

  test("of an unknown topic", async () => {
    says(404, "{}");
    expect(await getId(server, place.community, place.topic, signal)).toBeUndefined();
  });

  test.each([id, `${id}\n\n`, ` ${id}\n`, "", "bafkqaaa\n", "x".repeat(300)])("lies: %j", async (body) => {
    says(200, body);
    await expect(getId(server, place.community, place.topic, signal)).rejects.toThrow(Lie);
  });

  test("behind a redirect", async () => {
    says(302, "", { Location: "/elsewhere" });
    await expect(getId(server, place.community, place.topic, signal)).rejects.toThrow(TypeError);
  });
});

describe("folders", () => {
  test("whole", async () => {
    const blocks: { cid: Cid; bytes: Uint8Array }[] = [];
    const { cid } = makeFolder([leaf.entry], 0, (block) => blocks.push(block));
    says(200, car(cid, [...blocks, leaf.block]));
    const folder = await getFolder(server, place, signal);
    expect(cidText(folder?.root as Cid)).toBe(cidText(cid));
    const ids: string[] = [];
    for await (const found of folder?.comments ?? []) ids.push(found.id);
    expect(ids).toEqual([hashOf(cool)]);
  });

  test.each([["an id", `${cidText(leaf.block.cid)}\n`], ["nothing", ""], ["a long header", Uint8Array.of(0x81, 0x01, ...new Uint8Array(129))]])("not %s", async (_, body) => {
    says(200, body);
    await expect(getFolder(server, place, signal)).rejects.toThrow(Lie);
  });
});

describe("comments", () => {
  test("by name", async () => {
    says(200, cool);
    expect(await getComment(server, place, hashOf(cool), signal)).toEqual(cool);
    says(200, "Not cool!");
    await expect(getComment(server, place, hashOf(cool), signal)).rejects.toThrow(Lie);
    says(200, "x".repeat(65537));
    await expect(getComment(server, place, hashOf(cool), signal)).rejects.toThrow("more than 65536");
  });

  test("posted", async () => {
    const heard = says(201, `${hashOf(cool)}\n`);
    expect(await postDocument(server, place, cool, signal)).toBe(true);
    expect(heard.asked).toEqual([`POST /${place.community}/${place.topic} */* Cool!`]);
    says(200, `${hashOf(cool)}\n`);
    expect(await postDocument(server, place, cool, signal)).toBe(false);
    says(201, `${hashOf(utf8("other"))}\n`);
    await expect(postDocument(server, place, cool, signal)).rejects.toThrow(Lie);
  });

  test("refused", async () => {
    const problem = { type: "about:blank", title: "Too Many Requests", status: 429, code: "rate-limited", detail: "wait", retryAfter: 3 };
    says(429, JSON.stringify(problem), { "Content-Type": "application/problem+json" });
    await expect(postDocument(server, place, cool, signal)).rejects.toMatchObject({ name: "Problem", status: 429, code: "rate-limited", message: "wait", retryAfter: 3 });
    says(503, "x".repeat(maxProblem + 1), { "Retry-After": "7" });
    await expect(postDocument(server, place, cool, signal)).rejects.toMatchObject({ status: 503, code: "unknown", retryAfter: 7 });
    says(410, JSON.stringify({ code: "gone", detail: "removed by its author" }));
    await expect(getComment(server, place, hashOf(cool), signal)).rejects.toThrow(Problem);
  });
});

describe("blocks", () => {
  const other = leafOf(utf8("That's bs!"), 0);

  test("some of those asked for", async () => {
    const heard = says(200, car(leaf.block.cid, [leaf.block]));
    expect((await getBlocks(server, [leaf.block.cid, other.block.cid], signal)).map(({ cid }) => cidText(cid))).toEqual([cidText(leaf.block.cid)]);
    expect(heard.asked).toEqual([`POST /blocks */* ${cidText(leaf.block.cid)}\n${cidText(other.block.cid)}`]);
    expect(await getBlocks(server, [], signal)).toEqual([]);
  });

  test("lies and bounds", async () => {
    for (const body of [car(other.block.cid, [other.block]), car(leaf.block.cid, [other.block]), car(leaf.block.cid, [leaf.block, leaf.block])]) {
      says(200, body);
      await expect(getBlocks(server, [leaf.block.cid], signal)).rejects.toThrow(Lie);
    }
    await expect(getBlocks(server, Array.from({ length: maxAsked + 1 }, () => leaf.block.cid), signal)).rejects.toThrow(RangeError);
    const large = Array.from({ length: 65 }, (_, i) => leafOf(utf8(String(i).padStart(65536, "x")), 1).block);
    says(200, car((large[0] as typeof leaf.block).cid, large));
    await expect(getBlocks(server, large.map(({ cid }) => cid), signal)).rejects.toThrow(`more than ${maxBlocks}`);
  });
});

test("events end when they are not listened to any more", async () => {
  const closed = new Promise<void>((resolve) => {
    answer = (request, response) => {
      expect(request.headers["last-event-id"]).toBe("a-1");
      response.writeHead(200).write("id: a-2\n\n");
      response.on("close", resolve);
    };
  });
  for await (const event of await getEvents(server, place.community, place.topic, "a-1", signal)) {
    expect(event).toEqual({ kind: "alive", id: "a-2" });
    break;
  }
  await closed;
});

test("a problem that says little", () => {
  expect(parseProblem(500, utf8("[]"))).toMatchObject({ code: "unknown", retryAfter: undefined });
  expect(parseProblem(503, utf8('{"code":"<b>","retryAfter":1e9}'))).toMatchObject({ code: "unknown", retryAfter: 86400 });
  expect(parseProblem(503, utf8("null"), "-1")).toMatchObject({ retryAfter: undefined });
});
