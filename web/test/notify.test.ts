// The dot on the icon.

import { expect, test, vi } from "vitest";
import { signal } from "../src/state/signals.ts";

const unseen = signal(0);
vi.mock("../src/state/page.ts", () => ({ keeping: new Promise(() => undefined), route: signal({}), unseen }));
vi.mock("../src/ui/app.tsx", () => ({ current: signal(undefined) }));
vi.mock("../src/state/me.ts", () => ({ keepSetting: vi.fn(), notifies: signal(false) }));
vi.stubGlobal("navigator", {});
const { markIcon } = await import("../src/state/notify.ts");

test("is there as long as there is something new, however late it comes", async () => {
  const icon = { href: "icon.svg" };
  vi.stubGlobal("document", { querySelector: () => icon });
  let come = (_: { text(): Promise<string> }): void => undefined;
  const get = vi.fn(() => new Promise((resolve) => (come = resolve)));
  vi.stubGlobal("fetch", get);
  markIcon();
  expect(icon.href).toBe("icon.svg");
  unseen.value = 1;
  unseen.value = 0;
  come({ text: async () => "<svg></svg>" });
  await new Promise((resolve) => setTimeout(resolve));
  expect(icon.href).toBe("icon.svg");
  unseen.value = 2;
  expect(icon.href).toMatch(/^data:image.svg.xml,.*circle/);
  unseen.value = 0;
  expect(icon.href).toBe("icon.svg");
  expect(get).toHaveBeenCalledTimes(1);
});
