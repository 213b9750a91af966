// testdata/vectors/removals.json: which files remain where somebody deletes. A page removes as a server does, from what
// it shows and from what it keeps, in whatever order the files came; it reads one topic at a time.

import { expect, test } from "vitest";
import { hashOf } from "../src/protocol/hash.ts";
import { parseDocument } from "../src/protocol/parse.ts";
import { verify } from "../src/protocol/signature.ts";
import type { Reading } from "../src/workers/messages.ts";
import { openSession } from "../src/workers/session.ts";
import { documentOf, place, readVectors, valid } from "./vectors.ts";

const { topic, cases } = readVectors<{
  readonly topic: string;
  readonly cases: readonly { readonly name: string; readonly why: string; readonly documents: readonly string[]; readonly remain: readonly string[] }[];
}>("removals.json");
const reading: Reading = { order: "oldest", mine: [], muted: [], lists: [], showHidden: true };

test("there are cases", () => expect(cases.length).toBeGreaterThan(30));

/** What of some files a page keeps that gets them in an order. */
async function kept(files: readonly Uint8Array[]): Promise<Map<string, Uint8Array>> {
  let store: Uint8Array[] = [];
  let unverified = -1;
  const session = openSession(place(topic), reading, {
    checkAll: async (claims) => claims.map(({ key, message, signature }) => verify(key, message, signature)),
    checkElsewhere: () => undefined,
    now: () => Date.parse("2026-11-26T12:00:00Z"),
    tell: (message) => {
      if (message.kind === "thread") unverified = message.facts.unverified;
    },
    keepFiles: (some, all) => {
      store = all ? [...some] : [...store, ...some];
    },
    keepFolder: () => undefined,
    pause: () => new Promise((resolve) => setTimeout(resolve, 0)),
  });
  session.live();
  for (const file of files) {
    unverified = -1;
    await session.files([file], "a");
    // A file that is not of this topic changes nothing, and nothing is told.
    for (let i = 0; i < 50 && unverified !== 0; i++) await new Promise((resolve) => setTimeout(resolve, 0));
  }
  session.close();
  return new Map(store.map((bytes) => [hashOf(bytes), bytes]));
}

test.each(cases.map((each) => [each.name, each] as const))("%s", async (_, { why, documents, remain }) => {
  const here = documents.map((text) => documentOf(text, topic)).filter((document) => `${document.place.community}/${document.place.topic}` === topic);
  const want = here.map(({ id }) => id).filter((id) => remain.includes(id)).sort();
  for (const order of [here, [...here].reverse(), [...here, ...here]]) {
    const files = await kept(order.map(({ bytes }) => bytes));
    expect([...files.keys()].sort(), why).toEqual(want);
    // They are what came, to the byte.
    for (const bytes of files.values()) expect(valid(parseDocument(bytes, place(topic))).id).toBe(hashOf(bytes));
  }
});
