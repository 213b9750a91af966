// CARs (CARv1) as servers answer with them: SPEC.md, section 4. Read as they come, each block checked against its CID
// before anybody sees it.

import { concat, equal, readVarint, utf8 } from "./bytes.ts";
import { type Cid, cidBytes, cidLength, readCid } from "./cid.ts";
import { Lie, must } from "./lie.ts";
import { sha256 } from "./sha256.ts";
import { maxNode } from "./unixfs.ts";

/** The blocks of a topic's folder as one CAR, all together. */
export const maxCar = 256 << 20;
/** What a CAR has before its first block. */
export const maxCarHeader = 128;
const cut = "a CAR that was cut, or is none";
// A length is a varint of a number below maxNode + 36: three bytes.
const maxLength = 3;
// The CID in the header.
const rootAt = 13;

export interface Block {
  readonly cid: Cid;
  readonly bytes: Uint8Array;
}

/** The header of a CAR with one root: DAG-CBOR, without the length before it. */
export function carHeader(root: Cid): Uint8Array {
  const cid = cidBytes(root);
  const roots = Uint8Array.of(0x81, 0xd8, 0x2a, 0x58, 1 + cid.length, 0x00);
  return concat([Uint8Array.of(0xa2, 0x65), utf8("roots"), roots, cid, Uint8Array.of(0x67), utf8("version"), Uint8Array.of(0x01)]);
}

export interface Car {
  readonly root: Cid;
  /** In their order, each checked. A CAR that ends within a block is a Lie. */
  readonly blocks: AsyncGenerator<Block>;
}

/** Opens a CAR of at most so many bytes of blocks. */
export async function openCar(chunks: AsyncIterable<Uint8Array>, maxBytes = maxCar): Promise<Car> {
  const source = sourceOf(chunks);
  const length = await takeVarint(source);
  const header = length !== undefined && length <= maxCarHeader ? (source.taken(length) ?? (await source.take(length))) : new Uint8Array(0);
  // What is read as the root must give the same header.
  const root = readCid(header.subarray(rootAt));
  must(root !== undefined && equal(header, carHeader(root)), cut);
  return { root, blocks: readBlocks(source, maxBytes) };
}

async function* readBlocks(source: Source, maxBytes: number): AsyncGenerator<Block> {
  let total = 0;
  for (;;) {
    const length = await takeVarint(source);
    if (length === undefined) return;
    const section = length <= maxNode + 36 ? (source.taken(length) ?? (await source.take(length))) : new Uint8Array(0);
    const cid = readCid(section);
    must(cid !== undefined && section.length >= length, cut);
    const bytes = section.subarray(cidLength(cid.version));
    total += bytes.length;
    if (total > maxBytes) throw new Lie(`a CAR of more than ${maxBytes} bytes of blocks`);
    must(equal(sha256(bytes), cid.digest), "a block that is not the one of its CID");
    yield { cid, bytes };
  }
}

/** A stream of bytes. Most of what is asked for is here already: to wait for it all the same costs more than to check it. */
interface Source {
  /** n bytes that are here. */
  taken(n: number): Uint8Array | undefined;
  /** Up to n bytes, fewer only at the end. */
  take(n: number): Promise<Uint8Array>;
}

function sourceOf(chunks: AsyncIterable<Uint8Array>): Source {
  const iterator = chunks[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  const cut = (n: number): Uint8Array => {
    const taken = rest.subarray(0, n);
    rest = rest.subarray(taken.length);
    return taken;
  };
  return {
    taken: (n) => (rest.length < n ? undefined : cut(n)),
    async take(n) {
      const parts = [rest];
      for (let have = rest.length; have < n; ) {
        const { done, value } = await iterator.next();
        if (done === true) break;
        parts.push(value);
        have += value.length;
      }
      if (parts.length > 1) rest = concat(parts);
      return cut(n);
    },
  };
}

/** A length, or undefined at the end of the stream. */
async function takeVarint(source: Source): Promise<number | undefined> {
  let bytes: Uint8Array = source.taken(1) ?? (await source.take(1));
  if (bytes.length === 0) return undefined;
  while ((bytes[bytes.length - 1] as number) >= 0x80 && bytes.length < maxLength) {
    const next = source.taken(1) ?? (await source.take(1));
    if (next.length === 0) break;
    bytes = concat([bytes, next]);
  }
  const length = readVarint(bytes, 0);
  must(length !== undefined, cut);
  return length.value;
}
