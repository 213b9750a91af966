// The blocks of a folder: leaves and directory nodes, in the one encoding that SPEC.md, section 3, gives them. What
// is read must be in that encoding to the byte: else one set of files would have many ids. make.ts writes it.

import { type Bytes, concat, equal, readVarint, startsWith, varint } from "./bytes.ts";
import { type Cid, cidLength, readCid, type Version } from "./cid.ts";
import { maxDocument } from "./document.ts";
import { must } from "./lie.ts";

/** The block of a leaf: a document and what version 0 puts around it. */
export const maxLeaf = maxDocument + 32;
export const maxNode = 524288;
/** The levels of shards, one for each byte of a slot. */
export const maxLevels = 8;

export interface Link {
  /** Of a shard: the index as two upper-case hex digits, then the name, if it is no shard below. */
  readonly name: string;
  readonly cid: Cid;
  /** The bytes of the block linked to and of all below it. Nobody checks it. */
  readonly size: number;
}

export interface Node {
  readonly sharded: boolean;
  readonly links: readonly Link[];
}

/** Data of a plain directory, and so the block of an empty one. */
const plainNode = Uint8Array.of(0x0a, 0x02, 0x08, 0x01);

/** A field of protobuf that holds bytes. */
export function field(tag: number, ...parts: readonly Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [Uint8Array.of(tag, ...varint(length)), ...parts];
}

/** What version 0 puts before and behind a document of so many bytes. */
export function leafHead(n: number): Bytes {
  const inner = [0x08, 0x02, 0x12, ...varint(n)];
  return Uint8Array.of(0x0a, ...varint(inner.length + n + leafTail(n).length), ...inner);
}
export function leafTail(n: number): Bytes {
  return Uint8Array.of(0x18, ...varint(n));
}

/** The comment in a leaf's block. */
export function leafBytes(block: Uint8Array, version: Version): Uint8Array {
  must(block.length <= maxLeaf, "a leaf's size");
  if (version === 1) return block;
  // 0a <length> 08 02 12 <n> <bytes> 18 <n>: what is found by that must give the same block.
  const outer = block[0] === 0x0a ? readVarint(block, 1) : undefined;
  const inner = outer === undefined ? undefined : readVarint(block, outer.end + 3);
  const n = inner?.value ?? 0;
  const head = leafHead(n);
  const document = block.subarray(head.length, head.length + n);
  must(startsWith(block, head) && equal(block.subarray(head.length + n), leafTail(n)), "a leaf");
  return document;
}

/** What a node has behind its links: of a shard, which of the 256 places have one, the hash function and the fan-out. */
export function dataOf({ sharded, links }: Node): Bytes {
  if (!sharded) return plainNode;
  // As a number with a bit for each index, without the zeros before it.
  const bits = new Uint8Array(32);
  for (const { name } of links) {
    const index = Number.parseInt(name.slice(0, 2), 16);
    bits[31 - (index >> 3)] = (bits[31 - (index >> 3)] as number) | (1 << (index & 7));
  }
  const first = bits.findIndex((byte) => byte !== 0);
  const bitfield = first < 0 ? new Uint8Array(0) : bits.subarray(first);
  return concat(field(0x0a, Uint8Array.of(0x08, 0x05), ...field(0x12, bitfield), Uint8Array.of(0x28, 0x22, 0x30, 0x80, 0x02)));
}

/**
 * Reads a directory node, whose links all have CIDs of one version. Each byte is either read or compared with what
 * encodeNode would write, so encoding the node again gives the block.
 */
export function parseNode(block: Uint8Array, version: Version): Node {
  must(block.length <= maxNode, "a node's size");
  const links: Link[] = [];
  let at = 0;
  while (block[at] === 0x12) {
    const length = readVarint(block, at + 1);
    must(length !== undefined, encoding);
    at = length.end + length.value;
    links.push(parseLink(block.subarray(length.end, at), version));
  }
  const rest = block.subarray(at);
  const sharded = !equal(rest, plainNode);
  const node: Node = { sharded, links };
  checkNames(node);
  must(equal(rest, dataOf(node)), encoding);
  return node;
}

/** 0a <length> <CID> | 12 <length> <name> | 18 <Tsize>, to the last byte. */
function parseLink(bytes: Uint8Array, version: Version): Link {
  const nameAt = 2 + cidLength(version);
  const cid = bytes[0] === 0x0a && bytes[1] === cidLength(version) ? readCid(bytes.subarray(2, nameAt)) : undefined;
  must(cid?.version === version, "a link's version");
  // A name of the form that checkNames asks for has 42 bytes at most, so its length is a single byte.
  const length = bytes[nameAt + 1] ?? 0;
  const sizeAt = nameAt + 2 + length;
  const size = readVarint(bytes, sizeAt + 1);
  must(bytes[nameAt] === 0x12 && length <= 42 && bytes[sizeAt] === 0x18 && size?.end === bytes.length, encoding);
  return { name: String.fromCharCode(...bytes.subarray(nameAt + 2, sizeAt)), cid, size: size.value };
}

/** Names of their form, each once, in their order. */
function checkNames({ sharded, links }: Node): void {
  const form = sharded ? /^[0-9A-F]{2}([0-9a-f]{40})?$/ : /^[0-9a-f]{40}$/;
  let before = "";
  for (const { name } of links) {
    must(form.test(name), "the form of names");
    // Of a shard the index alone is the order, and no two links have one.
    const key = sharded ? name.slice(0, 2) : name;
    must(key > before, "the order of names");
    before = key;
  }
}

const encoding = "a node's encoding";
