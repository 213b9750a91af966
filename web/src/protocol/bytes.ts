// Bytes: hex, UTF-8, varints, blocks of hashes. What more than one format of SPEC.md needs, and nothing else.

export type Bytes = Uint8Array<ArrayBuffer>;

const pairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
// What most comments have room in, padded: a buffer of its own for each hash is a fifth of its time.
const often = new Uint8Array(2048);
const encoder = new TextEncoder();
// ignoreBOM: the bytes of a byte order mark are text like any other; dropping them would change what was signed.
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** The text that bytes are, or undefined if they are not UTF-8. */
export function fromUTF8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += pairs[bytes[i] as number];
  return text;
}

/** The bytes of hex that has been matched to /^([0-9a-f]{2})*$/ before. */
export function fromHex(hex: string): Bytes {
  // Digits lie from 48 on, letters from 97.
  const digit = (at: number): number => hex.charCodeAt(at) - (hex.charCodeAt(at) < 97 ? 48 : 87);
  const bytes = new Uint8Array(hex.length >> 1);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (digit(2 * i) << 4) | digit(2 * i + 1);
  return bytes;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && equal(bytes.subarray(0, prefix.length), prefix);
}

export function concat(parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Bytes as SHA-1 and SHA-256 take them: 0x80, zeros, and how many bits they are in the last 8 bytes of a block of 64,
 * with those of whole blocks before them. It is to be read before the next.
 */
export function padded(bytes: Uint8Array, before = 0): DataView {
  const size = ((bytes.length + 8) >> 6 << 6) + 64;
  const all = size <= often.length ? often.subarray(0, size).fill(0, bytes.length) : new Uint8Array(size);
  all.set(bytes);
  all[bytes.length] = 0x80;
  const view = new DataView(all.buffer, 0, size);
  view.setUint32(size - 8, Math.floor((before + bytes.length) / 0x20000000));
  view.setUint32(size - 4, ((before + bytes.length) << 3) >>> 0);
  return view;
}

/** The shortest LEB128 of a number up to 2^53. */
export function varint(n: number): number[] {
  const bytes: number[] = [];
  for (; n > 0x7f; n = Math.floor(n / 128)) bytes.push((n % 128) | 0x80);
  bytes.push(n);
  return bytes;
}

/**
 * The varint at an offset, and where it ends. Undefined if it is cut, longer than its value needs, or of 2^53 or
 * more: no length or size of this protocol comes near that, and above it a number is no longer exact.
 */
export function readVarint(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  let value = 0;
  let scale = 1;
  for (let i = at; i < at + 8; i++) {
    const b = bytes[i];
    if (b === undefined) return undefined;
    value += (b & 0x7f) * scale;
    if (b < 0x80) {
      const shortest = b !== 0 || i === at;
      return shortest && value <= Number.MAX_SAFE_INTEGER ? { value, end: i + 1 } : undefined;
    }
    scale *= 128;
  }
  return undefined;
}

/** A URL, if the text is one. Not every browser has URL.parse. */
export function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
