// Why something did not work, in codes: strings/ has a sentence for each. A server's refusal keeps the code that it
// gave (SPEC.md, "Errors"); the codes here are those that this side gives, and those of servers that a reader may meet.

import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";

/** Of servers (ServerView.reason). */
export const serverReasons = [
  /** No connection: it is down, or something between here and there forbids it. Browsers do not say which. */
  "unreachable",
  /** It was too slow, or fell silent. */
  "timeout",
  /** The connection ended in the middle of an answer. */
  "broke",
  /** What was typed or named is no address of a server: http:// or https://, a host, perhaps a port. */
  "bad-address",
  /** A page on https may not ask a server on http. */
  "mixed-content",
  /** An address in a private network, named by a stranger. */
  "private-address",
  /** What answers there is no comntr server, or does not prove that it is one. detail says what was wrong. */
  "no-proof",
  /** It proved itself, and does not have this community. */
  "other-community",
  /** It gave bytes that are not those of their name. It is left alone until the page is loaded again. */
  "lied",
  /** Its folder has more than this page takes from one server. */
  "too-much",
  /** It asks to wait (429, 503). detail is its own sentence. */
  "rate-limited",
  "busy",
  "stopping",
  /** Its operator does not keep this (451). */
  "denied",
  /** Its disk is full (507). */
  "full",
  /** A fault of the server (500). */
  "internal",
  "damaged",
  /** It refuses for another reason: detail is its own sentence. */
  "refused",
  /** The two could not find a way to each other for a data channel. */
  "no-way",
  /** What an earlier visit learned of it, to reach it by WebTransport, holds no more. */
  "expired",
] as const;

/** Of trackers (TrackerView.reason). */
export const trackerReasons = ["unreachable", "timeout", "mixed-content", "private-address", "bad-address", "refused", "bad-answer", "no-way"] as const;

/**
 * Of posts (PostOutcome.code), besides the codes of SPEC.md for documents and refusals, which come as servers give
 * them: "work-needed", "rate-limited", "too-large", "slot-taken", "gone", "premature" and so on.
 */
export const postReasons = ["no-server", "unreachable", "timeout", "broke", "lied", "stopped"] as const;

export type ServerReason = (typeof serverReasons)[number];
export type TrackerReason = (typeof trackerReasons)[number];
export type PostReason = (typeof postReasons)[number];

export interface Reason {
  readonly code: ServerReason;
  readonly detail: string;
}

/** What this side found wrong. */
export class Trouble extends Error {
  override readonly name = "Trouble";

  constructor(
    readonly code: ServerReason,
    detail = "",
  ) {
    super(detail);
  }
}

/** An answer that is not whole. */
export function tooEarly(): Trouble {
  return new Trouble("broke", "the server ended its answer too early");
}

const ownCodes: ReadonlySet<string> = new Set(serverReasons);

/** What an error says of the server that was asked. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof Lie) return { code: "lied", detail: error.message };
  if (error instanceof Trouble) return { code: error.code, detail: error.message };
  if (error instanceof Problem) {
    const code = error.code !== "lied" && ownCodes.has(error.code) ? (error.code as ServerReason) : "refused";
    return { code, detail: error.message };
  }
  // fetch fails with a TypeError that says nothing of why.
  return { code: "unreachable", detail: "" };
}
