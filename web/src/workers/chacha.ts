// ChaCha20-Poly1305 (RFC 8439) without additional data, for the one small file that age.ts seals. It is written for size:
// a library's is five times as long, being fast, which nothing here needs.

import { concat, equal } from "../protocol/bytes.ts";

export const tagSize = 16;

/** Words of four bytes, the lowest first. */
export function wordsOf(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i, true));
}

export function bytesOf(numbers: Int32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((n, i) => view.setInt32(4 * i, n, true));
  return new Uint8Array(view.buffer);
}

/** "expand 32-byte k" */
const constants = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
// A double round: the columns, then the diagonals.
const quarters = ["048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e"].map((four) => [...four].map((digit) => Number.parseInt(digit, 16)));

/** 64 bytes of the key stream. */
function block(key: Uint8Array, nonce: Uint8Array, counter: number): Uint8Array {
  const start = Int32Array.of(...constants, ...wordsOf(key), counter, ...wordsOf(nonce));
  const state = start.slice();
  const at = (i: number): number => state[i] as number;
  const mix = (a: number, b: number, c: number, turn: number): void => {
    const sum = (state[a] = (at(a) + at(b)) | 0);
    const mixed = at(c) ^ sum;
    state[c] = (mixed << turn) | (mixed >>> (32 - turn));
  };
  for (let round = 0; round < 10; round++) {
    for (const [a, b, c, d] of quarters as [number, number, number, number][]) {
      mix(a, b, d, 16);
      mix(c, d, b, 12);
      mix(a, b, d, 8);
      mix(c, d, b, 7);
    }
  }
  return bytesOf(state.map((word, i) => word + (start[i] as number)));
}

function stream(key: Uint8Array, nonce: Uint8Array, data: Uint8Array): Uint8Array {
  let pad: Uint8Array = new Uint8Array(0);
  // Block 0 is the tag's key.
  return data.map((byte, i) => {
    if (i % 64 === 0) pad = block(key, nonce, 1 + i / 64);
    return byte ^ (pad[i % 64] as number);
  });
}

/** A number of bytes, the lowest first. */
function integer(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function tag(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array {
  const once = block(key, nonce, 0);
  const r = integer(once.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  // Filled up to 16 bytes, then the lengths: of what is added, none, and of the data.
  const all = concat([sealed, new Uint8Array(-sealed.length & 15), bytesOf(Int32Array.of(0, 0, sealed.length, 0))]);
  let sum = 0n;
  for (let at = 0; at < all.length; at += 16) sum = ((sum + integer(all.subarray(at, at + 16)) + (1n << 128n)) * r) % ((1n << 130n) - 5n);
  sum += integer(once.subarray(16, 32));
  return Uint8Array.from({ length: tagSize }, (_, i) => Number((sum >> BigInt(8 * i)) & 255n));
}

/** key: 32 bytes, nonce: 12, never the same two twice. */
export function encrypt(key: Uint8Array, nonce: Uint8Array, data: Uint8Array): Uint8Array {
  const sealed = stream(key, nonce, data);
  return concat([sealed, tag(key, nonce, sealed)]);
}

/** What was encrypted; undefined where it was not, or with another key. */
export function decrypt(key: Uint8Array, nonce: Uint8Array, file: Uint8Array): Uint8Array | undefined {
  if (file.length < tagSize) return undefined;
  const sealed = file.subarray(0, -tagSize);
  // Nobody is there to time this: the file and its passphrase are the reader's own.
  return equal(tag(key, nonce, sealed), file.subarray(-tagSize)) ? stream(key, nonce, sealed) : undefined;
}
