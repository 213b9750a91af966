// CIDs of blocks: SPEC.md, section 3. SHA-256 alone, of a dag-pb block or of raw bytes, in versions 0 and 1.

import { type Bytes, equal } from "./bytes.ts";
import { sha256 } from "./sha256.ts";

export type Version = 0 | 1;
export type Codec = "dag-pb" | "raw";

export interface Cid {
  /** Version 0 is dag-pb always. */
  readonly version: Version;
  readonly codec: Codec;
  /** The SHA-256 of the block. */
  readonly digest: Uint8Array;
}

export const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
export const base32 = "abcdefghijklmnopqrstuvwxyz234567";

export function cidOf(block: Uint8Array, version: Version, codec: Codec): Cid {
  return { version, codec, digest: sha256(block) };
}

export function cidLength(version: Version): number {
  return version === 0 ? 34 : 36;
}

/** What stands before the digest. */
function prefix(version: Version, codec: Codec): readonly number[] {
  return version === 0 ? [0x12, 0x20] : [0x01, codec === "raw" ? 0x55 : 0x70, 0x12, 0x20];
}

export function cidBytes({ version, codec, digest }: Cid): Bytes {
  const bytes = new Uint8Array(cidLength(version));
  bytes.set(prefix(version, codec));
  bytes.set(digest, bytes.length - 32);
  return bytes;
}

/** The CID that bytes begin with. */
export function readCid(bytes: Uint8Array): Cid | undefined {
  const version = bytes[0] === 0x12 ? 0 : 1;
  const codec = version === 1 && bytes[1] === 0x55 ? "raw" : "dag-pb";
  const before = prefix(version, codec);
  const digest = bytes.slice(before.length, cidLength(version));
  return digest.length === 32 && before.every((byte, i) => byte === bytes[i]) ? { version, codec, digest } : undefined;
}

export function equalCids(a: Cid, b: Cid): boolean {
  return a.version === b.version && a.codec === b.codec && equal(a.digest, b.digest);
}

export function cidText(cid: Cid): string {
  const bytes = cidBytes(cid);
  return cid.version === 0 ? encodeBase58(bytes) : "b" + encodeBase32(bytes);
}

/** base58btc; also of peer ids. */
export function encodeBase58(bytes: Uint8Array): string {
  let text = "";
  for (let n = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n); n > 0n; n /= 58n) {
    text = base58.charAt(Number(n % 58n)) + text;
  }
  // Each zero byte at the beginning is a 1.
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}

function encodeBase32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let buffer = 0;
  for (const byte of bytes) {
    buffer = ((buffer & 31) << 8) | byte;
    for (bits += 8; bits >= 5; ) text += base32.charAt((buffer >> (bits -= 5)) & 31);
  }
  return bits === 0 ? text : text + base32.charAt((buffer << (5 - bits)) & 31);
}
