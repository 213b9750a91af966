// Problem documents (RFC 9457): what a server says when it refuses. SPEC.md, section 4, "Errors".

import { fromUTF8 } from "./bytes.ts";
import { readFields } from "./fields.ts";

export const maxProblem = 16384;
// Longer pauses than this are not waited for: another server is asked.
const maxRetryAfter = 86400;
// An act has so many bits.
const maxWork = 256;

/** A server's refusal. code is for programs; message, its detail, for people. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    /** Seconds to wait, of 429 and 503. */
    readonly retryAfter?: number,
    /** Of work-needed: the bits of work that this server wants. */
    readonly work?: number,
  ) {
    super(detail);
  }
}

/** The problem that an answer's body tells; without one that can be read, what the status alone tells. */
export function parseProblem(status: number, body: Uint8Array, retryAfterHeader: string | null = null): Problem {
  const { code, detail, retryAfter, work } = readFields(fromUTF8(body));
  const seconds = typeof retryAfter === "number" ? retryAfter : Number(retryAfterHeader ?? Number.NaN);
  const wait = seconds >= 0 ? Math.min(seconds, maxRetryAfter) : undefined;
  return new Problem(
    status,
    typeof code === "string" && /^[a-z0-9-]{1,64}$/.test(code) ? code : "unknown",
    typeof detail === "string" ? detail : `the server answered with status ${status}`,
    wait,
    typeof work === "number" && work >= 0 && work <= maxWork ? work : undefined,
  );
}
