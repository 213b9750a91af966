import { describe, expect, test } from "vitest";
import { isRefusal, judgeDocument } from "../src/protocol/document.ts";
import { parseDocument } from "../src/protocol/parse.ts";
import { chooseVerifier } from "../src/protocol/verifier.ts";
import { type Packed, place, readVectors, unpack } from "./vectors.ts";

interface Case extends Packed {
  readonly name: string;
  readonly why: string;
  readonly code?: string;
  readonly id?: string;
  readonly signed?: boolean;
  readonly key?: string;
  readonly act?: string;
  readonly date?: string;
  readonly body?: number;
}

const vectors = readVectors<{ community: string; topic: string; cases: Case[] }>("documents.json");
const here = place(`${vectors.community}/${vectors.topic}`);

const verifier = await chooseVerifier(globalThis.crypto.subtle);

describe("documents.json", () => {
  test.each(vectors.cases)("$name: $why", async (wanted) => {
    const bytes = unpack(wanted);
    const verdict = parseDocument(bytes, here);
    const other = await judgeDocument(bytes, here, verifier);
    expect({ ...other, bytes: undefined }).toEqual({ ...verdict, bytes: undefined });
    if (isRefusal(verdict)) {
      expect(verdict.code).toBe(wanted.code);
      return;
    }
    const { id, signed, bodyAt } = verdict;
    expect({ id, signed: signed !== undefined, key: signed?.key, act: signed?.act, date: signed?.date, body: bodyAt, code: undefined }).toEqual({
      id: wanted.id, signed: wanted.signed ?? false, key: wanted.key, act: wanted.act, date: wanted.date, body: wanted.body ?? 0, code: wanted.code,
    });
  });
});
