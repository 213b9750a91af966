import * as reference from "@preact/signals-core";
import { expect, test } from "vitest";
import * as ours from "../src/state/signals.ts";
import { random } from "./random.ts";

test("an effect acts at once, and when what it read changes", () => {
  const [a, b] = [ours.signal(1), ours.signal(10)];
  const seen: number[] = [];
  const end = ours.effect(() => void seen.push(a.value + b.peek()));
  a.value = 2;
  a.value = 2;
  b.value = 20;
  a.value = 3;
  end();
  a.value = 4;
  expect(seen).toEqual([11, 12, 23]);
});

test("what is no longer read sets nothing off", () => {
  const [which, a, b] = [ours.signal(true), ours.signal(1), ours.signal(2)];
  const seen: number[] = [];
  ours.effect(() => void seen.push(which.value ? a.value : b.value));
  which.value = false;
  a.value = 5;
  b.value = 6;
  expect(seen).toEqual([1, 2, 6]);
});

test("what is computed is computed when it is asked for, and once", () => {
  const a = ours.signal(1);
  let count = 0;
  const double = ours.computed(() => (count++, 2 * a.value));
  expect(count).toBe(0);
  expect([double.value, double.value, count]).toEqual([2, 2, 1]);
  ours.signal(0).value = 1;
  expect([double.value, count]).toEqual([2, 1]);
  a.value = 2;
  expect([double.value, count]).toEqual([4, 2]);
});

test("an effect does not see what is computed of the half of a change", () => {
  const a = ours.signal(1);
  const [up, down] = [ours.computed(() => a.value + 1), ours.computed(() => a.value - 1)];
  const seen: number[] = [];
  ours.effect(() => void seen.push(up.value - down.value));
  a.value = 5;
  expect(seen).toEqual([2, 2]);
});

test("a batch sets an effect off once", () => {
  const [a, b] = [ours.signal(1), ours.signal(2)];
  const seen: number[] = [];
  ours.effect(() => void seen.push(a.value + b.value));
  ours.batch(() => {
    a.value = 10;
    ours.batch(() => (b.value = 20));
    expect(seen).toEqual([3]);
  });
  expect(seen).toEqual([3, 30]);
});

test("what an effect returns is done before the next time, and at its end", () => {
  const a = ours.signal(1);
  const seen: string[] = [];
  const end = ours.effect(() => {
    const now = a.value;
    seen.push(`do ${now}`);
    return () => void seen.push(`undo ${now}`);
  });
  a.value = 2;
  end();
  end();
  expect(seen).toEqual(["do 1", "undo 1", "do 2", "undo 2"]);
});

test("an effect may change what others read, and comes to rest or says so", () => {
  const [a, b] = [ours.signal(0), ours.signal(0)];
  ours.effect(() => void (b.value = a.value * 2));
  const seen: number[] = [];
  ours.effect(() => void seen.push(b.value));
  a.value = 3;
  expect(seen).toEqual([0, 6]);
  ours.effect(() => {
    if (a.value < 10) a.value++;
  });
  expect([a.peek(), b.peek()]).toEqual([10, 20]);
  const endless = ours.signal(0);
  expect(() => ours.effect(() => void endless.value++)).toThrow("never come to rest");
});

test("one that fails is ended, and keeps no other from its change", () => {
  const a = ours.signal(1);
  const seen: number[] = [];
  ours.effect(() => {
    if (a.value === 2) throw new Error("two");
    seen.push(-a.value);
  });
  ours.effect(() => void seen.push(a.value));
  expect(() => (a.value = 2)).toThrow("two");
  a.value = 3;
  expect(seen).toEqual([-1, 1, 2, 3]);
  expect(() => ours.effect(() => {
    throw new Error("at once");
  })).toThrow("at once");
  a.value = 4;
  expect(seen).toEqual([-1, 1, 2, 3, 4]);
});

test("what is computed for nobody is told nothing and can go", async () => {
  const a = ours.signal(1);
  let count = 0;
  const one = ours.computed(() => (count++, a.value));
  const end = ours.effect(() => void one.value);
  a.value = 2;
  expect(count).toBe(2);
  end();
  a.value = 3;
  expect(count).toBe(2);
  expect((a as unknown as { readers: Set<unknown> }).readers.size).toBe(0);
});

/** Makes the same graph with either, does the same to both, and says what could be seen. */
function play({ signal, computed, effect, batch }: Pick<typeof ours, "signal" | "computed" | "effect" | "batch">, seed: number): unknown[] {
  const int = random(seed);
  const seen: unknown[] = [];
  const values = Array.from({ length: 4 }, (_, i) => signal(i));
  const all: { readonly value: number }[] = [...values];
  for (let i = 0; i < 6; i++) {
    const [a, b, c] = [int(all.length), int(all.length), int(all.length)].map((n) => all[n] as (typeof all)[number]);
    all.push(computed(() => ((a?.value ?? 0) % 3 === 0 ? (b?.value ?? 0) : (c?.value ?? 0) + (a?.value ?? 0)) % 7));
  }
  const ends = Array.from({ length: 5 }, (_, i) => {
    const [a, b] = [int(all.length), int(all.length)].map((n) => all[n] as (typeof all)[number]);
    return effect(() => {
      seen.push([i, a?.value, (a?.value ?? 0) % 2 === 0 ? b?.value : "not read"]);
      return () => seen.push([i, "undone"]);
    });
  });
  for (let i = 0; i < 40; i++) {
    const change = (which = int(values.length)): void => {
      (values[which] as (typeof values)[number]).value = int(9);
    };
    const what = int(10);
    if (what === 0) ends[int(ends.length)]?.();
    else if (what < 4) batch(() => (change(0), change(1), change(2)));
    else if (what < 6) seen.push(all[int(all.length)]?.value);
    else change();
    seen.push("then");
  }
  return seen;
}

/** What effects one change sets off has no order that anybody may count on. */
const sorted = (seen: readonly unknown[]): string[] => {
  const rounds: string[][] = [[]];
  for (const each of seen) each === "then" ? rounds.push([]) : rounds[rounds.length - 1]?.push(JSON.stringify(each));
  return rounds.map((round) => round.sort().join());
};

test("graphs at random do what the library's do", () => {
  for (let seed = 1; seed <= 500; seed++) {
    expect(sorted(play(ours, seed)), `seed ${seed}`).toEqual(sorted(play(reference as unknown as typeof ours, seed)));
  }
});
