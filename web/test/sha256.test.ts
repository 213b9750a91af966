import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { sha256, sha256After } from "../src/protocol/sha256.ts";

test("the lengths around a block's end, and some long ones", () => {
  for (const n of [...Array(200).keys(), 65535, 65536, 524288]) {
    const bytes = new Uint8Array(n).map((_, i) => (i * 7 + n) ^ (i >> 8));
    expect(Buffer.from(sha256(bytes)).toString("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  }
});

test("what begins alike", () => {
  for (const n of [0, 1, 55, 56, 63, 64, 65, 128, 200]) {
    const beginning = new Uint8Array(n + 3).map((_, i) => i).subarray(3);
    const after = sha256After(beginning);
    for (const rest of [0, 1, 9, 64, 100].map((length) => new Uint8Array(length).fill(7))) {
      expect(after(rest)).toEqual(sha256(Uint8Array.of(...beginning, ...rest)));
    }
  }
});

test("no constant hangs on the last bit of a root, which may be another one in another browser", () => {
  const primes = Array.from({ length: 310 }, (_, i) => i + 2).filter((n) => Array.from({ length: n - 2 }, (_, i) => i + 2).every((d) => n % d !== 0));
  expect(primes).toHaveLength(64);
  for (const prime of primes) {
    const rest = (Math.cbrt(prime) * 2 ** 32) % 1;
    // A unit in the last place of a root below 8 is 2^-50, so 2^-18 here.
    expect(Math.min(rest, 1 - rest)).toBeGreaterThan(2 ** -10);
  }
});
