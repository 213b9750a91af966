import { createHmac, scryptSync } from "node:crypto";
import { expect, test } from "vitest";
import { toHex } from "../src/protocol/bytes.ts";
import { hmac, scrypt } from "../src/workers/scrypt.ts";

test("HMAC is another program's, whatever the lengths", () => {
  for (const [key, message] of [[0, 0], [1, 100], [32, 32], [63, 1], [64, 64], [65, 65], [200, 1000]] as const) {
    const [k, m] = [new Uint8Array(key).fill(3), new Uint8Array(message).fill(4)];
    expect(toHex(hmac(k, m))).toBe(createHmac("sha256", k).update(m).digest("hex"));
  }
});

test("scrypt is another program's", () => {
  for (const factor of [1, 2, 5, 10]) {
    for (const [passphrase, salt] of [["", ""], ["pleaseletmein", "SodiumChloride"], ["x".repeat(99), "y".repeat(70)]] as const) {
      const wanted = scryptSync(passphrase, salt, 32, { N: 2 ** factor, r: 8, p: 1 });
      expect(toHex(scrypt(Buffer.from(passphrase), Buffer.from(salt), factor))).toBe(wanted.toString("hex"));
    }
  }
});
