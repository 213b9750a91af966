// What is being written: at most one answer or edit at a time, besides the topic's own line.

import { signal } from "./signals.ts";
import type { Row } from "../workers/messages.ts";

export interface Composing {
  readonly kind: "reply" | "edit";
  readonly row: Row;
}

export const composing = signal<Composing | undefined>(undefined);
