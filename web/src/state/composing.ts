// What is being written: at most one answer or edit at a time, besides the topic's own line. And what is said below what
// was written.

import type { VNode } from "preact";
import type { Hash } from "../protocol/hash.ts";
import { signal } from "./signals.ts";
import type { Row } from "../workers/messages.ts";

export interface Composing {
  readonly kind: "reply" | "edit";
  readonly row: Row;
}

export const composing = signal<Composing | undefined>(undefined);

/** By the document that is shown in a row. */
export const notes = signal<ReadonlyMap<Hash, VNode>>(new Map());
