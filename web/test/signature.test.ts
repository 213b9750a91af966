import { Point } from "@noble/ed25519";
import { describe, expect, test } from "vitest";
import { fromHex } from "../src/protocol/bytes.ts";
import { decidesAlike, isKey, probes, times, verifierOf, verify } from "../src/protocol/signature.ts";
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

describe("times", () => {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  // One of order 8, and so the sum of it with a good one: from the vectors of keys that may not sign.
  const keys = [...new Set(cases.map(({ key }) => key))].flatMap((key) => {
    try {
      return [Point.fromBytes(fromHex(key))];
    } catch {
      return [];
    }
  });
  const random = (n: number): bigint => {
    let x = BigInt(n) + 1n;
    for (let i = 0; i < 8; i++) x = (x * 6364136223846793005n + 1442695040888963407n) ** 2n % order;
    return x;
  };
  const scalars = [0n, 1n, 2n, 7n, 8n, 15n, 16n, 17n, 2n ** 252n - 1n, 2n ** 252n, order - 1n, ...Array.from({ length: 20 }, (_, i) => random(i))];

  test("is what noble computes, of keys of every kind", () => {
    expect(keys.some((point) => point.isSmallOrder())).toBe(true);
    expect(keys.some((point) => !point.isSmallOrder() && !point.isTorsionFree())).toBe(true);
    for (const point of [Point.BASE, ...keys]) {
      for (const n of scalars) expect(times(point, n).equals(n === 0n ? Point.ZERO : point.multiply(n, false)), `${n}`).toBe(true);
      expect(times(point, order).is0()).toBe(point.isTorsionFree());
    }
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

  test("imports a key once", async () => {
    let imports = 0;
    const counting = {
      importKey: (...asked: Parameters<SubtleCrypto["importKey"]>) => (imports++, subtle.importKey(...asked)),
      verify: (...asked: Parameters<SubtleCrypto["verify"]>) => subtle.verify(...asked),
    } as unknown as SubtleCrypto;
    const verifier = verifierOf(counting);
    for (const [signature, valid] of probes.cases) {
      expect(await verifier(fromHex(probes.key), fromHex(probes.message), fromHex(signature))).toBe(valid);
    }
    expect(imports).toBe(1);
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
