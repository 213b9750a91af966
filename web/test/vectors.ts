// The vectors as they lie in testdata/vectors, and what their rules say of bytes and keys.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fromHex, utf8 } from "../src/protocol/bytes.ts";
import { type Document, isRefusal } from "../src/protocol/document.ts";
import { type Place, parsePlace } from "../src/protocol/hash.ts";
import { parseDocument } from "../src/protocol/parse.ts";

/** Reads a file of vectors. Its shape is the caller's word: a test that errs about it fails. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../testdata/vectors/${name}`, import.meta.url), "utf8")) as T;
}

export interface Packed {
  readonly text?: string;
  readonly hex?: string;
  readonly pad?: string;
  readonly padTo?: number;
}

/** text or hex, then pad repeated up to padTo bytes. */
export function unpack({ text, hex, pad, padTo }: Packed): Uint8Array {
  const begin = hex === undefined ? utf8(text ?? "") : fromHex(hex);
  if (pad === undefined || padTo === undefined) return begin;
  const bytes = new Uint8Array(padTo).fill(pad.charCodeAt(0));
  bytes.set(begin);
  return bytes;
}

/** The seed of "alice" and other names: their SHA-256. */
export function seedOf(name: string): Uint8Array {
  return createHash("sha256").update(name).digest();
}

export function place(text: string): Place {
  const parsed = parsePlace(text);
  if (parsed === undefined) throw new Error(`no place: ${text}`);
  return parsed;
}

export function valid(verdict: ReturnType<typeof parseDocument>): Document {
  if (isRefusal(verdict)) throw new Error(verdict.code);
  return verdict;
}

const parsed = new Map<string, Document>();

/** A valid document; its place is its Topic header's, of plain text the one given. Parsed once: signatures are slow. */
export function documentOf(text: string, plainPlace: string): Document {
  const topic = text.startsWith("Signature: ") ? /^Topic: (.*)$/m.exec(text)?.[1] ?? "" : plainPlace;
  const known = parsed.get(topic + text);
  if (known !== undefined) return known;
  const document = valid(parseDocument(utf8(text), place(topic)));
  parsed.set(topic + text, document);
  return document;
}
