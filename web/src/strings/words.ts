// What a language's file has: all that English has, no more and no less.

import type * as first from "./en.ts";
import type * as later from "./en-later.ts";

type Words<T> = {
  readonly [K in keyof T]: T[K] extends string ? string : T[K] extends (...given: infer A) => string ? (...given: A) => string : Words<T[K]>;
};
type English = typeof first & typeof later;
/** What is replaced are objects: spoken.ts. */
type Replaced = { [K in keyof English]: English[K] extends string | ((...given: never) => unknown) ? never : K }[keyof English];

export type Language = Words<Pick<English, Replaced>>;
