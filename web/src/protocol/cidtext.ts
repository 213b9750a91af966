// CIDs that others wrote as text.

import type { Bytes } from "./bytes.ts";
import { base32, base58, type Cid, cidText, readCid } from "./cid.ts";

/** How long a CID may be as text, in bytes. */
export const maxCidText = 128;

/** Only the two spellings that cidText gives. */
export function parseCid(text: string): Cid | undefined {
  if (text.length > maxCidText) return undefined;
  const bytes = text.startsWith("Qm") ? decodeBase58(text) : text.startsWith("b") ? decodeBase32(text.slice(1)) : undefined;
  const cid = bytes === undefined ? undefined : readCid(bytes);
  return cid !== undefined && cidText(cid) === text ? cid : undefined;
}

/** Of a multihash alone, so no zero byte is at the beginning. */
function decodeBase58(text: string): Bytes | undefined {
  let n = 0n;
  for (const char of text) {
    const digit = base58.indexOf(char);
    if (digit < 0) return undefined;
    n = n * 58n + BigInt(digit);
  }
  const bytes: number[] = [];
  for (; n > 0n; n /= 256n) bytes.push(Number(n % 256n));
  return Uint8Array.from(bytes.reverse());
}

function decodeBase32(text: string): Bytes | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let buffer = 0;
  for (const char of text) {
    const digit = base32.indexOf(char);
    if (digit < 0) return undefined;
    buffer = ((buffer & 255) << 5) | digit;
    bits += 5;
    if (bits >= 8) bytes.push((buffer >> (bits -= 8)) & 255);
  }
  return Uint8Array.from(bytes);
}
