// Work: SPEC.md, section 2. It is paid before signing and makes many votes cost something.

/** What a vote must have to count. */
export const voteWork = 18;

/** The leading zero bits of bytes, 0 to 8 for each of them. */
export function leadingZeroBits(bytes: Uint8Array): number {
  let bits = 0;
  for (const byte of bytes) {
    bits += Math.clz32(byte) - 24;
    if (byte !== 0) break;
  }
  return bits;
}
