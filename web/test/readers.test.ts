// Each file of vectors is read by a test of the page, or is the server's alone and says why. One that is added and
// forgotten here fails.

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** What a page has no part in. */
const serversAlone: Readonly<Record<string, string>> = {
  "denylist.json": "what an operator's deny.txt keeps off his server; a page is told by an answer, 451, and has no such list",
};

const folder = new URL("../../testdata/vectors/", import.meta.url);
const tests = ["./", "./net/"].flatMap((at) =>
  readdirSync(new URL(at, import.meta.url)).filter((name) => name.endsWith(".ts") && name !== "readers.test.ts").map((name) => readFileSync(new URL(at + name, import.meta.url), "utf8")),
);
const isRead = (name: string): boolean => tests.some((text) => text.includes("readVectors<") && new RegExp(`>\\(\\s*"${name}",?\\s*\\)`).test(text));

test.each(readdirSync(folder))("%s", (name) => {
  expect(isRead(name), `${name} has to be read by a test here, or to be named as the server's alone`).toBe(!(name in serversAlone));
});

test("what is named is there", () => expect(readdirSync(folder)).toEqual(expect.arrayContaining(Object.keys(serversAlone))));
