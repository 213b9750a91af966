import { describe, expect, test } from "vitest";
import { fromHex } from "../src/protocol/bytes.ts";
import { decidesAlike, isKey, probes, verifierOf, verify } from "../src/protocol/signature.ts";
import { readVectors } from "./vectors.ts";

interface Case {
  readonly name: string;
  readonly why: string;
  readonly key: string;
  readonly message: string;
  readonly signature: string;
  readonly valid: boolean;
}

const { cases } = readVectors<{ cases: Case[] }>("signatures.json");

describe("signatures.json", () => {
  test.each(cases)("$name: $why", ({ key, message, signature, valid }) => {
    expect(verify(fromHex(key), fromHex(message), fromHex(signature))).toBe(valid);
  });

  test("the probes are the cases that a good key leaves open", () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const open = cases.filter(({ key, message, signature }) => {
      const s = BigInt("0x" + signature.slice(64).replace(/(..)/g, "$1,").split(",").reverse().join(""));
      return key === probes.key && message === probes.message && s < order;
    });
    expect(probes.cases).toEqual(open.map(({ signature, valid }) => [signature, valid]));
    expect(isKey(fromHex(probes.key))).toBe(true);
  });
});

describe("crypto.subtle", () => {
  const { subtle } = globalThis.crypto;

  test("decides alike here", async () => {
    expect(await decidesAlike(subtle)).toBe(true);
    const verifier = verifierOf(subtle);
    for (const { name, key, message, signature, valid } of cases) {
      expect(await verifier(fromHex(key), fromHex(message), fromHex(signature)), name).toBe(valid);
    }
  });

  test("is not taken where it is lax, lacking or without Ed25519", async () => {
    const fake = (verify: () => boolean): SubtleCrypto =>
      ({ importKey: async () => ({}), verify: async () => verify() }) as unknown as SubtleCrypto;
    expect(await decidesAlike(fake(() => true))).toBe(false);
    expect(await decidesAlike(fake(() => false))).toBe(false);
    expect(await decidesAlike(fake(() => { throw new Error("NotSupportedError"); }))).toBe(false);
    expect(await decidesAlike(undefined)).toBe(false);
  });
});
