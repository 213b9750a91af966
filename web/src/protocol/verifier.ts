// Who may sign, and which of two ways decides whether he did: SPEC.md, section 2. Libraries differ on keys of small or
// mixed order and on odd encodings; the checks of key and S are therefore made here, and only the equation is left to
// the browser, if it is seen to decide it alike. Else signature.ts decides it, which comes when it is needed.

import { type Bytes, equal, fromHex, toHex } from "./bytes.ts";

/** A way to decide: the key's 32 bytes, the message, the signature's 64 bytes. */
export type Verifier = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

// RFC 8032: the field, and the order of the base point.
export const p = 2n ** 255n - 19n;
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;
/** Keys of which it is remembered what they are: a key costs more to check than a signature, and has many comments in a thread. */
export const maxKnownKeys = 4096;

/** A number of RFC 8032. */
export function littleEndian(bytes: Uint8Array): bigint {
  return BigInt("0x" + toHex(Uint8Array.from(bytes).reverse()));
}

export function bytesOf(n: bigint): Bytes {
  return fromHex(n.toString(16).padStart(64, "0")).reverse();
}

/** L is a little above 2^252: almost every S is seen by its last byte to be below. */
export function isScalar(s: Uint8Array): boolean {
  return s.length === 32 && ((s[31] as number) < 0x10 || littleEndian(s) < L);
}

// A private key of X25519 in PKCS #8 (RFC 8410): a multiple of 8 that is -1 modulo L. See isKeyBy.
const minusOne = "302e020100300506032b656e04220420a023cdd083ef5bb82f10d62e59e15a6800000000000000000000000000000050";

/**
 * Whether a key may sign, as isKey of signature.ts says, in a tenth of the time. The browser multiplies points of the same
 * curve (RFC 7748, where their u is (1 + y) / (1 - y)), by what leaves nothing of a part of order 2, 4 or 8 and turns the rest
 * around: a point has the same u as its multiple only if it has no such part. One that is not on the curve, but on its
 * twist, never has: neither neighbour of the factor shares a divisor with the twist's order.
 */
export async function isKeyBy(subtle: SubtleCrypto, key: Uint8Array): Promise<boolean> {
  const y = BigInt.asUintN(255, littleEndian(key));
  if (key.length !== 32 || y >= p || y === 1n) return false;
  try {
    const factor = await subtle.importKey("pkcs8", fromHex(minusOne), "X25519", false, ["deriveBits"]);
    const u = bytesOf(((((1n + y) * inverse(p + 1n - y)) % p) + p) % p);
    const point = await subtle.importKey("raw", u, "X25519", false, []);
    return equal(new Uint8Array(await subtle.deriveBits({ name: "X25519", public: point }, factor, 256)), u);
  } catch {
    // No X25519 here, or a multiple that it does not give away: nothing is left of it.
    return (await import("./signature.ts")).isKey(key);
  }
}

/** Modulo p, by Euclid's algorithm. It may be negative. */
function inverse(n: bigint): bigint {
  let [a, b, x, y] = [p, n, 0n, 1n];
  while (b !== 0n) {
    const times = a / b;
    [a, b, x, y] = [b, a - times * b, y, x - times * y];
  }
  return x;
}

/** A verifier that leaves the equation to crypto.subtle, 20 to 50 times as fast. Use it only if decidesAlike. */
export function verifierOf(subtle: SubtleCrypto): Verifier {
  const imported = new Map<string, Promise<CryptoKey | false>>();
  const take = async (key: Uint8Array): Promise<CryptoKey | false> =>
    (await isKeyBy(subtle, key)) && subtle.importKey("raw", key as Bytes, "Ed25519", false, ["verify"]);
  return async (key, message, signature) => {
    if (!isScalar(signature.subarray(32))) return false;
    const hex = toHex(key);
    let known = imported.get(hex);
    if (known === undefined) {
      if (imported.size >= maxKnownKeys) imported.clear();
      imported.set(hex, (known = take(key)));
    }
    const taken = await known;
    return taken && subtle.verify("Ed25519", taken, signature as Bytes, message as Bytes);
  };
}

/** This program's own verifier. */
export const slowVerifier: Verifier = async (key, message, signature) => (await import("./signature.ts")).verify(key, message, signature);

// The cases of testdata/vectors/signatures.json that a good key leaves open: signatures whose R is odd. The test
// compares them with the file.
export const probes: { key: string; message: string; cases: readonly (readonly [signature: string, valid: boolean])[] } = {
  key: "88aa55e6afeed8960a3191de78600347db8acd0a3795412f275f049b86260488",
  message: "636f6d6e7472206564676520636173652000000000",
  cases: [
    [
      "3e54c441927f9f0ee5e13e34f0b0404c5043651a8f4b7ef087a1c42262a85d0a" +
        "e45d37a5d7abddfdf43c7211a4cc8787bc2618b5c054f17704b582f43f69560a",
      true,
    ],
    [
      "0100000000000000000000000000000000000000000000000000000000000000" +
        "775d6e77cecb9866e3d5751cc1fbb5504bd2966e172e33cc9f151e9534039105",
      true,
    ],
    [
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "e554923e8605ca8006cd80ef550ba18459e004234d6f542e6e13898a024e0702",
      false,
    ],
    [
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "775d6e77cecb9866e3d5751cc1fbb5504bd2966e172e33cc9f151e9534039105",
      false,
    ],
    [
      "0100000000000000000000000000000000000000000000000000000000000080" +
        "c95cadca0ca86c9cf43a77bff700548475416acdb6d118650e606a4fbe53b90c",
      false,
    ],
    [
      "5b61c2e3b93e6c06450f327ea72cdfeb8cde6aa020d2dd827ab3f86e708c8393" +
        "b8f631a259966faae070e29eb410563e8d1a042de60d4fa2b6330bada6828e0f",
      false,
    ],
    [
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
        "3a5d83834b0ca987b55a659eec1f2b8ca6ae71b93d1c0138e42b19b380af7a04",
      false,
    ],
  ],
};

/** Whether a browser's Ed25519 decides the edge cases as verify does. It takes a few milliseconds, once. */
export async function decidesAlike(subtle: SubtleCrypto | undefined): Promise<boolean> {
  if (subtle === undefined) return false;
  const verifier = verifierOf(subtle);
  try {
    for (const [signature, valid] of probes.cases) {
      if ((await verifier(fromHex(probes.key), fromHex(probes.message), fromHex(signature))) !== valid) return false;
    }
    return true;
  } catch {
    // No Ed25519 here, or only some of it.
    return false;
  }
}

/** The verifier to use in this browser or worker. */
export async function chooseVerifier(subtle: SubtleCrypto | undefined): Promise<Verifier> {
  if (subtle !== undefined && (await decidesAlike(subtle))) return verifierOf(subtle);
  return slowVerifier;
}
