// CARs (CARv1) as servers answer with them: SPEC.md, section 4. Read as they come, each block checked against its CID
// before anybody sees it.

import { sha256 } from "@noble/hashes/sha2.js";
import { concat, equal, readVarint, utf8, varint } from "./bytes.ts";
import { type Cid, cidBytes, readCid } from "./cid.ts";
import { Lie } from "./lie.ts";
import { maxNode } from "./unixfs.ts";

/** The blocks of a topic's folder as one CAR, all together. */
export const maxCar = 256 << 20;
/** What a CAR has before its first block. */
export const maxCarHeader = 128;
// A length is a varint of a number below maxNode + 36: three bytes.
const maxLength = 3;

export interface Block {
  readonly cid: Cid;
  readonly bytes: Uint8Array;
}

/** The header of a CAR with one root, its length before it. */
export function carHeader(root: Cid): Uint8Array {
  const cid = cidBytes(root);
  const header = concat([
    Uint8Array.of(0xa2, 0x65),
    utf8("roots"),
    Uint8Array.of(0x81, 0xd8, 0x2a, 0x58, 1 + cid.length, 0x00),
    cid,
    Uint8Array.of(0x67),
    utf8("version"),
    Uint8Array.of(0x01),
  ]);
  return concat([Uint8Array.of(...varint(header.length)), header]);
}

/** The blocks of a CAR with this root, in their order. A CAR that ends within a block is a Lie. */
export async function* readCar(root: Cid, chunks: AsyncIterable<Uint8Array>, maxBytes = maxCar): AsyncGenerator<Block> {
  const take = taker(chunks);
  const header = carHeader(root);
  if (!equal(await take(header.length), header)) throw new Lie("a CAR without the header of the root that was asked for");
  let total = 0;
  for (;;) {
    const length = await takeVarint(take);
    if (length === undefined) return;
    const section = length <= maxNode + 36 ? await take(length) : new Uint8Array(0);
    const cid = readCid(section);
    if (cid === undefined || section.length < length) throw new Lie("a CAR that was cut, or a block without a CID of this protocol");
    const bytes = section.subarray(cidBytes(cid).length);
    total += bytes.length;
    if (total > maxBytes) throw new Lie(`a CAR of more than ${maxBytes} bytes of blocks`);
    if (!equal(sha256(bytes), cid.digest)) throw new Lie("a block that is not the one of its CID");
    yield { cid, bytes };
  }
}

/** Takes up to n bytes from a stream, fewer only at its end. */
type Take = (n: number) => Promise<Uint8Array>;

function taker(chunks: AsyncIterable<Uint8Array>): Take {
  const iterator = chunks[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  return async (n) => {
    if (rest.length < n) {
      const parts = [rest];
      for (let have = rest.length; have < n; ) {
        const { done, value } = await iterator.next();
        if (done === true) break;
        parts.push(value);
        have += value.length;
      }
      rest = concat(parts);
    }
    const taken = rest.subarray(0, n);
    rest = rest.subarray(taken.length);
    return taken;
  };
}

/** A length, or undefined at the end of the stream. */
async function takeVarint(take: Take): Promise<number | undefined> {
  let bytes: Uint8Array = await take(1);
  if (bytes.length === 0) return undefined;
  while ((bytes[bytes.length - 1] as number) >= 0x80 && bytes.length < maxLength) {
    const next = await take(1);
    if (next.length === 0) break;
    bytes = concat([bytes, next]);
  }
  const length = readVarint(bytes, 0);
  if (length === undefined) throw new Lie("a CAR that was cut, or a length that is none");
  return length.value;
}
