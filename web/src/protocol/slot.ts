// Slots: where a name stands in a sharded folder. SPEC.md, section 3.

/** The slot of a name of 40 hex digits: 8 bytes, one for each level. */
export function slotOf(name: string): Uint8Array {
  const slot = new Uint8Array(8);
  new DataView(slot.buffer).setBigUint64(0, murmur3(name));
  return slot;
}

const c1 = 0x87c37b91114253d5n;
const c2 = 0x4cf5ad432745937fn;

const u64 = (n: bigint): bigint => BigInt.asUintN(64, n);
const rotl = (n: bigint, by: bigint): bigint => u64(n << by) | (n >> (64n - by));
const mixK1 = (k: bigint): bigint => u64(rotl(u64(k * c1), 31n) * c2);
const mixK2 = (k: bigint): bigint => u64(rotl(u64(k * c2), 33n) * c1);

function finish(n: bigint): bigint {
  n = u64((n ^ (n >> 33n)) * 0xff51afd7ed558ccdn);
  n = u64((n ^ (n >> 33n)) * 0xc4ceb9fe1a85ec53n);
  return n ^ (n >> 33n);
}

/** The first 64 bits of murmur3-x64-128 with seed 0 (Appleby, 2011), for ASCII of 40 bytes: two blocks and 8 more. */
function murmur3(text: string): bigint {
  const bytes = new DataView(new ArrayBuffer(40));
  for (let i = 0; i < 40; i++) bytes.setUint8(i, text.charCodeAt(i));
  const word = (at: number): bigint => bytes.getBigUint64(at, true);
  let [h1, h2] = [0n, 0n];
  for (let at = 0; at < 32; at += 16) {
    h1 = u64((rotl(h1 ^ mixK1(word(at)), 27n) + h2) * 5n + 0x52dce729n);
    h2 = u64((rotl(h2 ^ mixK2(word(at + 8)), 31n) + h1) * 5n + 0x38495ab5n);
  }
  h1 ^= mixK1(word(32));
  h1 ^= 40n;
  h2 ^= 40n;
  h1 = u64(h1 + h2);
  h2 = u64(h2 + h1);
  return u64(finish(h1) + finish(h2));
}
