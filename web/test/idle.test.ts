import { afterEach, beforeEach, expect, test, vi } from "vitest";

let changed: () => void = () => undefined;
const shown = { screen: "home" };
vi.mock("../src/ui/app.tsx", () => ({ current: { value: undefined } }));
vi.mock("../src/state/page.ts", () => ({ route: { value: shown } }));
vi.mock("../src/state/signals.ts", () => ({ effect: (act: () => void) => (act(), () => undefined) }));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { body: {} });
  vi.stubGlobal("MutationObserver", class {
    constructor(told: () => void) {
      changed = told;
    }
    observe(): void {}
    disconnect(): void {
      changed = () => undefined;
    }
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  shown.screen = "home";
});

async function begin(): Promise<() => boolean> {
  const { whenIdle } = await import("../src/state/idle.ts");
  let rests = false;
  void whenIdle().then(() => (rests = true));
  return () => rests;
}

test("a page rests two seconds after it last drew", async () => {
  const rests = await begin();
  await vi.advanceTimersByTimeAsync(1900);
  changed();
  await vi.advanceTimersByTimeAsync(1900);
  expect(rests()).toBe(false);
  await vi.advanceTimersByTimeAsync(100);
  expect(rests()).toBe(true);
});

test("who posts every second, or a thread that never comes, holds it up for a minute", async () => {
  for (const screen of ["home", "thread"]) {
    shown.screen = screen;
    const rests = await begin();
    for (let i = 0; i < 59; i++) {
      await vi.advanceTimersByTimeAsync(1000);
      changed();
    }
    expect(rests()).toBe(false);
    await vi.advanceTimersByTimeAsync(1000);
    expect(rests()).toBe(true);
  }
});
