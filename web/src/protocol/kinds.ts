// What signed documents do: kinds, and the headers that say to what. SPEC.md, section 2. Headers are read to the
// letter; one whose value is not of its form counts as absent.

import { concat, fromHex, utf8 } from "./bytes.ts";
import { bodyText, type Document } from "./document.ts";
import { type Hash, hashOf, hashOfName, parseHash } from "./hash.ts";
import { leadingZeroBits } from "./work.ts";

/** The pairs of a moderator's words: yes, no. */
export const moderation = {
  hide: "show",
  pin: "unpin",
  lock: "unlock",
  ban: "unban",
  delegate: "undelegate",
} as const;

export type Yes = keyof typeof moderation;
export type No = (typeof moderation)[Yes];
export type Kind = "comment" | "edit" | "delete" | "vote" | Yes | No;

const kinds: ReadonlySet<string> = new Set([
  "comment", "edit", "delete", "vote", ...Object.keys(moderation), ...Object.values(moderation),
]);

/** A document of an unknown kind is kept and shown nowhere. */
export function kindOf(document: Document): Kind | "unknown" {
  const kind = document.signed?.headers.get("Kind");
  return kind === undefined ? "comment" : kinds.has(kind) ? (kind as Kind) : "unknown";
}

export function targetOf(document: Document): Hash | undefined {
  return parseHash(document.signed?.headers.get("Target") ?? "");
}

export function parentOf(document: Document): Hash | undefined {
  return parseHash(document.signed?.headers.get("Parent") ?? "");
}

export function userOf(document: Document): string | undefined {
  return document.signed?.headers.get("User");
}

export function tagOf(document: Document): string | undefined {
  return document.signed?.headers.get("Tag");
}

/** The key that a ban or a delegation is about, 64 hex digits. */
export function targetKeyOf(document: Document): string | undefined {
  const key = document.signed?.headers.get("Target-Key");
  return key !== undefined && /^[0-9a-f]{64}$/.test(key) ? key : undefined;
}

export function targetTagOf(document: Document): string | undefined {
  return document.signed?.headers.get("Target-Tag");
}

/** The topic's name in clear: it proves itself. */
export function nameOf(document: Document): string | undefined {
  const name = document.signed?.headers.get("Name");
  return name !== undefined && hashOfName(name) === document.place.topic ? name : undefined;
}

export type Vote = "up" | "down" | "none";

/** What a vote says, if it is one. */
export function voteOf(document: Document): Vote | undefined {
  if (kindOf(document) !== "vote") return undefined;
  const body = bodyText(document);
  return body === "up" || body === "down" || body === "none" ? body : undefined;
}

/** The leading zero bits of the act; plain text has none. */
export function workOf(document: Document): number {
  return document.signed === undefined ? 0 : leadingZeroBits(fromHex(document.signed.act));
}

/** The topic of the list of a key (64 hex digits) and a tag. */
export function listTopic(key: string, tag: string): Hash {
  return hashOf(concat([utf8(hashOf(fromHex(key))), utf8(hashOfName(tag))]));
}
