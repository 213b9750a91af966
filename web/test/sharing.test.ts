import { expect, test } from "vitest";
import { decide, few, type Sharing } from "../src/state/sharing.ts";

test.each<[Sharing, number, boolean, boolean, boolean]>([
  // chosen, servers, dear; asks, gives
  ["auto", few, false, false, false],
  ["auto", few - 1, false, false, true],
  ["auto", few - 1, true, false, false],
  ["auto", 0, false, true, true],
  ["auto", 0, true, true, false],
  ["auto", Number.POSITIVE_INFINITY, false, false, false],
  ["always", Number.POSITIVE_INFINITY, true, false, true],
  ["always", 0, true, true, true],
  ["never", 0, false, false, false],
])("%s with %d servers, dear: %s", (how, servers, isDear, asks, gives) => expect(decide(how, servers, isDear)).toEqual({ asks, gives }));
