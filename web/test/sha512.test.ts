import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { sha512 } from "../src/protocol/sha512.ts";

test("the lengths around a block's end, and some long ones", () => {
  for (const n of [...Array(300).keys(), 65535, 65536, 524288]) {
    const bytes = new Uint8Array(n).map((_, i) => (i * 7 + n) ^ (i >> 8));
    expect(Buffer.from(sha512(bytes)).toString("hex")).toBe(createHash("sha512").update(bytes).digest("hex"));
  }
});
