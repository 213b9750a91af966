// A full disk costs nothing but the keeping: what is read is read, and what is written is sent. It is said once.

import { storage as t } from "../strings/en-later.ts";
import { tell } from "./page.ts";

let isSaid = false;

export function sayFull(): void {
  if (isSaid) return;
  isSaid = true;
  tell({ text: t.full });
}
