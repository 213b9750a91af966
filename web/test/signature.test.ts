import { createHash } from "node:crypto";
import { getPublicKey, hashes, Point, sign as edSign } from "@noble/ed25519";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/protocol/bytes.ts";
import { isKey, publicKey, sign, verify } from "../src/protocol/signature.ts";
import { decidesAlike, isKeyBy, probes, verifierOf } from "../src/protocol/verifier.ts";
import { random } from "./random.ts";
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

test("keys and signatures are those of noble", () => {
  hashes.sha512 = (message) => Uint8Array.from(createHash("sha512").update(message).digest());
  const pick = random(25519);
  for (let n = 0; n < 40; n++) {
    // The lowest and the highest bits are set by the standard, and not by the seed; lengths around a block's end.
    const seed = n < 2 ? new Uint8Array(32).fill(255 * n) : Uint8Array.from({ length: 32 }, () => pick(256));
    const message = Uint8Array.from({ length: n * 8 }, () => pick(256));
    const key = publicKey(seed);
    expect(toHex(key)).toBe(toHex(getPublicKey(seed)));
    const signature = sign(message, seed);
    expect(toHex(signature)).toBe(toHex(edSign(message, seed)));
    expect(verify(key, message, signature)).toBe(true);
    const at = pick(64);
    signature[at] = (signature[at] as number) ^ (1 << pick(8));
    expect(verify(key, message, signature)).toBe(false);
  }
});

test("a key is one exactly where noble's point is of prime order, by this program and by the browser's X25519", async () => {
  const { subtle } = globalThis.crypto;
  const torsion = Point.fromBytes(fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"));
  const expectKey = async (key: Uint8Array, good: boolean, why: string): Promise<void> => {
    expect(isKey(key), why).toBe(good);
    expect(await isKeyBy(subtle, key), `${why}, X25519`).toBe(good);
    expect(await isKeyBy(without, key), `${why}, no X25519`).toBe(good);
  };
  const without = { importKey: () => Promise.reject(new Error("NotSupportedError")) } as unknown as SubtleCrypto;
  for (let n = 0; n < 12; n++) {
    let point = Point.BASE.multiply(BigInt(n + 1) ** 40n);
    for (let i = 0; i < 8; i++, point = point.add(torsion)) {
      await expectKey(point.toBytes(), i === 0, `${n} ${i}`);
      await expectKey(point.negate().toBytes(), i === 0, `-${n} ${i}`);
    }
    // Half of all y are of no point.
    const y = fromHex(n.toString(16).padStart(64, "57"));
    await expectKey(y, isGood(y), `y ${n}`);
  }
  let small = torsion;
  for (let i = 0; i < 8; i++, small = small.add(torsion)) await expectKey(small.toBytes(), false, `of small order ${i}`);
  // Of these every y between 0 and 2, and p - 1 to p + 1, and none that a field has.
  for (const y of [0n, 1n, 2n, 2n ** 255n - 20n, 2n ** 255n - 19n, 2n ** 255n - 18n, 2n ** 255n - 1n]) {
    const key = fromHex(y.toString(16).padStart(64, "0")).reverse();
    await expectKey(key, isGood(key) && y !== 1n, `y = ${y}`);
  }
  await expectKey(new Uint8Array(31), false, "31 bytes");
});

function isGood(key: Uint8Array): boolean {
  try {
    return Point.fromBytes(key).isTorsionFree();
  } catch {
    return false;
  }
}

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
