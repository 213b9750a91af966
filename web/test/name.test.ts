import { describe, expect, test } from "vitest";
import { hashOfName } from "../src/protocol/hash.ts";
import { cleanName } from "../src/protocol/name.ts";
import { readVectors } from "./vectors.ts";

const { cases } = readVectors<{ cases: { why: string; name: string; clean: string; topic: string }[] }>("names.json");

describe("names.json", () => {
  test.each(cases)("$why", ({ name, clean, topic }) => {
    expect(cleanName(name)).toBe(clean);
    expect(cleanName(clean)).toBe(clean);
    expect(hashOfName(clean)).toBe(topic);
  });
});

test.each([
  ["http://\u00adexample.org/", "http://example.org", "a host that ToASCII makes ASCII"],
  ["http://\u00ad/", "http://\u00ad/", "an empty host is none"],
  ["http://a%62\u00e4.example/", "http://a%62\u00e4.example/", "the URL parser would read the escape"],
  ["http://a\u3002b", "http://a.b", "an ideographic full stop is a dot"],
  ["http://example.org/a\u2028?b#c", "http://example.org/a%E2%80%A8?b", "a line separator ends no path"],
  ["http://example.org/\ud800", "http://example.org/\ud800", "a lone surrogate is not UTF-8"],
])("%s -> %s: %s", (name, clean) => {
  expect(cleanName(name)).toBe(clean);
});
