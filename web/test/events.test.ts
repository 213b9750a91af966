import { describe, expect, test } from "vitest";
import { utf8 } from "../src/protocol/bytes.ts";
import { maxEvent, maxEventId, readEvents, type ServerEvent } from "../src/protocol/events.ts";
import { Lie } from "../src/protocol/lie.ts";

const topic = "84d5fcc43a5a888643930cfa216833309b3dd96c";
const comment = "33754244c02265dc24dfec91d64a48410ec24831";

async function read(text: string, chunk = 1000): Promise<ServerEvent[]> {
  const bytes = utf8(text);
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  };
  const events: ServerEvent[] = [];
  for await (const event of readEvents(chunks())) events.push(event);
  return events;
}

describe("events", () => {
  const stream =
    `retry: 3000\n\nid: a-1\n\nid: a-2\nevent: comment\ndata: {"topic":"${topic}","comment":"${comment}"}\n\n` +
    ": \n\nid: a-3\nevent: reset\ndata: {}\n\nid: a-4\nevent: other\ndata: {}\n\n";
  const wanted: ServerEvent[] = [
    { kind: "alive" },
    { kind: "alive", id: "a-1" },
    { kind: "comment", topic, comment, id: "a-2" } as ServerEvent,
    { kind: "alive", id: "a-2" },
    { kind: "alive", id: "a-2" },
    { kind: "reset", id: "a-3" },
    { kind: "alive", id: "a-4" },
  ];

  test.each([1, 7, 1000])("in chunks of %i bytes, with any line end", async (chunk) => {
    expect(await read(stream, chunk)).toEqual(wanted);
    expect(await read(stream.replaceAll("\n", "\r\n"), chunk)).toEqual(wanted);
    expect(await read(stream.replaceAll("\n", "\r"), chunk)).toEqual(wanted);
  });

  test("one that was cut counts for nothing", async () => {
    expect(await read(`event: comment\ndata: {"topic":"${topic}","comment":"${comment}"}\n`)).toEqual([]);
  });

  test.each(["", "null", "{}", "[1]", '{"topic":1,"comment":2}', `{"topic":"${topic}","comment":"../x"}`])("data that says nothing: %s", async (data) => {
    expect(await read(`event: comment\ndata: ${data}\n\n`)).toEqual([{ kind: "alive" }]);
  });

  test("bounds", async () => {
    const ok = `:${"x".repeat(maxEvent - 1)}\n`;
    expect(await read(ok)).toEqual([{ kind: "alive" }]);
    await expect(read(`:${"x".repeat(maxEvent)}\n`)).rejects.toThrow(Lie);
    await expect(read("x".repeat(maxEvent + 1))).rejects.toThrow(Lie);
    await expect(read(`data: ${"x".repeat(4000)}\ndata: ${"x".repeat(96)}\n\n`)).rejects.toThrow("an event's length");
    expect(await read(`id: ${"x".repeat(maxEventId)}\n\n`)).toHaveLength(1);
    await expect(read(`id: ${"x".repeat(maxEventId + 1)}\n\n`)).rejects.toThrow(Lie);
  });
});
