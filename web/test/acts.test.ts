import { describe, expect, test } from "vitest";
import { fromHex, fromUTF8, toHex } from "../src/protocol/bytes.ts";
import { type Draft, payWork, signDraft, signedPart } from "../src/protocol/build.ts";
import { bodyText } from "../src/protocol/document.ts";
import type { Hash } from "../src/protocol/hash.ts";
import { type Kind, kindOf, listTopic, nameOf, parentOf, tagOf, targetOf, userOf, voteOf, workOf } from "../src/protocol/kinds.ts";
import { publicKey } from "../src/protocol/signature.ts";
import { fold } from "../src/protocol/thread.ts";
import { leadingZeroBits } from "../src/protocol/work.ts";
import { documentOf, place, readVectors, seedOf, valid } from "./vectors.ts";

interface DraftCase {
  readonly name: string;
  readonly why: string;
  readonly place: string;
  readonly date?: string;
  readonly kind?: string;
  readonly target?: string;
  readonly parent?: string;
  readonly user?: string;
  readonly nameHeader?: string;
  readonly tag?: string;
  readonly extra?: [string, string][];
  readonly nonce?: string;
  readonly body: string;
  readonly text: string;
  readonly id: string;
  readonly act: string;
}

interface HeadersCase {
  readonly name: string;
  readonly why: string;
  readonly text: string;
  readonly kind: string;
  readonly target?: string;
  readonly parent?: string;
  readonly user?: string;
  readonly nameHeader?: string;
  readonly tag?: string;
  readonly vote?: string;
}

const vectors = readVectors<{
  place: string;
  drafts: DraftCase[];
  headers: HeadersCase[];
  acts: { name: string; act: string; texts: string[]; ids: string[]; shown: string }[];
  lists: { key: string; tag: string; topic: string }[];
}>("acts.json");
const work = readVectors<{
  place: string;
  acts: { act: string; work: number }[];
  documents: { name: string; bits: number; draft: string; nonce?: string; text: string; work: number }[];
}>("work.json");
const now = Date.parse("2026-11-22T12:00:00Z");
const alice = seedOf("alice");

function draftOf(wanted: DraftCase): Draft {
  return {
    place: place(wanted.place),
    body: wanted.body,
    ...(wanted.date !== undefined ? { date: new Date(wanted.date) } : {}),
    ...(wanted.kind !== undefined ? { kind: wanted.kind as Kind } : {}),
    ...(wanted.target !== undefined ? { target: wanted.target as Hash } : {}),
    ...(wanted.parent !== undefined ? { parent: wanted.parent as Hash } : {}),
    ...(wanted.user !== undefined ? { user: wanted.user } : {}),
    ...(wanted.nameHeader !== undefined ? { name: wanted.nameHeader } : {}),
    ...(wanted.tag !== undefined ? { tag: wanted.tag } : {}),
    ...(wanted.extra !== undefined ? { extra: wanted.extra } : {}),
    ...(wanted.nonce !== undefined ? { nonce: wanted.nonce } : {}),
  };
}

describe("acts.json", () => {
  test.each(vectors.drafts)("draft, $name: $why", (wanted) => {
    const document = valid(signDraft(draftOf(wanted), alice));
    expect(fromUTF8(document.bytes)).toBe(wanted.text);
    expect(document.id).toBe(wanted.id);
    expect(document.signed?.act).toBe(wanted.act);
    expect(bodyText(document)).toBe(wanted.body);
  });

  test.each(vectors.headers)("headers, $name: $why", (wanted) => {
    const document = documentOf(wanted.text, vectors.place);
    expect({
      kind: kindOf(document), target: targetOf(document), parent: parentOf(document), user: userOf(document),
      nameHeader: nameOf(document), tag: tagOf(document), vote: voteOf(document),
    }).toEqual({
      kind: wanted.kind, target: wanted.target, parent: wanted.parent, user: wanted.user,
      nameHeader: wanted.nameHeader, tag: wanted.tag, vote: wanted.vote,
    });
  });

  test.each(vectors.acts)("acts, $name", ({ act, texts, ids, shown }) => {
    const documents = texts.map((text) => documentOf(text, vectors.place));
    expect(documents.map(({ id }) => id)).toEqual(ids);
    for (const document of documents) expect(document.signed?.act).toBe(act);
    const { comments } = fold(place(vectors.place), documents, [], now, "newest");
    expect(comments.map(({ id }) => id)).toEqual([shown]);
  });

  test.each(vectors.lists)("list of $key and $tag", ({ key, tag, topic }) => {
    expect(listTopic(key, tag)).toBe(topic);
  });

  test("a draft that the grammar does not take is refused", () => {
    expect(signDraft({ place: place(vectors.place), user: "Alice\nKind: delete", body: "" }, alice)).toHaveProperty("code", "bad-header");
  });
});

describe("work.json", () => {
  test.each(work.acts)("$act: $work", ({ act, work: bits }) => {
    expect(leadingZeroBits(fromHex(act))).toBe(bits);
  });

  test.each(work.documents)("$name", (wanted) => {
    const document = documentOf(wanted.text, work.place);
    expect(workOf(document)).toBe(wanted.work);
    if (document.signed === undefined) return;
    const key = toHex(publicKey(alice));
    // The draft as its text says it.
    const date = document.signed.date;
    const kind = document.signed.headers.get("Kind");
    const target = targetOf(document);
    const user = userOf(document);
    const draft: Draft = {
      place: place(work.place),
      body: bodyText(document),
      ...(date !== undefined ? { date: new Date(date) } : {}),
      ...(kind !== undefined ? { kind: kind as Kind } : {}),
      ...(target !== undefined ? { target } : {}),
      ...(user !== undefined ? { user } : {}),
    };
    expect(signedPart(draft, key)).toBe(wanted.draft);
    const paid = payWork(draft, key, wanted.bits);
    expect(paid.nonce).toBe(wanted.nonce);
    expect(fromUTF8(valid(signDraft(paid, alice)).bytes)).toBe(wanted.text);
  });
});
