import { parseHTML } from "linkedom";
import * as reference from "preact";
import type { ComponentChild, VNode } from "preact";
import { beforeEach, expect, test } from "vitest";
import { type Signal, signal } from "../src/state/signals.ts";
import { useEffect, useMemo, useRef, useSignal } from "../src/ui/component.ts";
import { Fragment, h as made, render } from "../src/ui/draw.ts";
import { random, shuffled } from "./random.ts";

let place: HTMLElement;
let theirs: HTMLElement;
beforeEach(() => {
  const { document } = parseHTML("<!doctype html><html><body><div></div><div></div></body></html>");
  Object.assign(globalThis, { document });
  [place, theirs] = [...document.querySelectorAll("div")] as unknown as [HTMLElement, HTMLElement];
});

/** Drawings of what changed are done. */
const drawn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

type Make = (type: unknown, props: object | null, ...children: ComponentChild[]) => VNode;
const h = made as Make;

/** Any tree of elements, fragments, components, lists with keys and texts. */
function tree(pick: (n: number) => number, make: Make, group: unknown, depth: number): ComponentChild {
  const inside = (): ComponentChild[] => Array.from({ length: pick(4) }, () => tree(pick, make, group, depth - 1));
  switch (pick(depth > 0 ? 8 : 3)) {
    case 0:
      return [null, undefined, false, true][pick(4)];
    case 1:
      return pick(5);
    case 2:
      return `text ${pick(3)}`;
    case 3:
      return make(group, null, ...inside());
    case 4:
      return make(Plain, null, ...inside());
    case 5:
    case 6: {
      const keys = shuffled([...Array(9).keys()], pick).slice(0, pick(9));
      return make("ul", null, keys.map((key) => make((key % 3 === 0 ? group : "li"), { key }, `${key}`, ...inside())));
    }
    default:
      return make(["p", "b"][pick(2)], [null, { class: `c${pick(3)}` }, { "data-a": pick(3), "aria-busy": pick(2) === 0 }][pick(3)] as object | null, ...inside());
  }
}

function Plain({ children }: { children: ComponentChild }): VNode {
  return children as VNode;
}

test("whatever is drawn after whatever looks as if it had been drawn by preact", () => {
  for (let seed = 0; seed < 200; seed++) {
    const [mine, other] = [random(seed), random(seed)];
    for (let round = 0; round < 6; round++) {
      render(tree(mine, h, Fragment, 3), place);
      reference.render(tree(other, reference.h as Make, reference.Fragment, 3), theirs);
      expect(place.innerHTML, `seed ${seed}, round ${round}`).toBe(theirs.innerHTML);
    }
  }
});

/** How often nodes are put somewhere while this is drawn. */
function puts(act: () => void): number {
  let count = 0;
  const { insertBefore } = place;
  for (const ul of place.querySelectorAll("ul")) ul.insertBefore = (...given: never) => (count++, insertBefore.apply(ul, given) as never);
  act();
  return count;
}

test.each([
  ["one that goes to the end", [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0], 1],
  ["one that goes to the beginning", [0, 1, 2, 3, 4, 5], [5, 0, 1, 2, 3, 4], 1],
  ["two that change places", [0, 1, 2, 3, 4, 5], [0, 4, 2, 3, 1, 5], 2],
  ["one that comes between", [0, 1, 2, 4, 5], [0, 1, 2, 3, 4, 5], 1],
  ["one that goes away", [0, 1, 2, 3, 4, 5], [0, 1, 2, 4, 5], 0],
  ["the other way round", [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], 5],
])("of a list only what moves is put elsewhere, the same element: %s", (_, before, then, moves) => {
  const list = (keys: readonly number[]): VNode => h("ul", null, keys.map((key) => h("li", { key }, `${key}`)));
  render(list(before), place);
  const old = new Map([...place.querySelectorAll("li")].map((li) => [li.textContent, li]));
  expect(puts(() => render(list(then), place))).toBe(moves);
  expect([...place.querySelectorAll("li")].map((li) => Number(li.textContent))).toEqual(then);
  for (const li of place.querySelectorAll("li")) if (before.includes(Number(li.textContent))) expect(li).toBe(old.get(li.textContent));
});

test("two of one key are two", () => {
  const list = (...keys: string[]): VNode => h("ul", null, keys.map((key) => h("li", { key }, key)));
  for (const keys of [["a", "a", "b"], ["b", "a", "a"], ["a"], ["c", "a", "c", "a"]]) {
    render(list(...keys), place);
    expect(place.textContent).toBe(keys.join(""));
  }
});

test("a node that is given again where it stands is not looked at", () => {
  let count = 0;
  const Counted = (): VNode => h("p", null, ++count);
  const node = h(Counted, null);
  render(h("div", { class: "a" }, node), place);
  render(h("div", { class: "b" }, node), place);
  expect([count, place.innerHTML]).toEqual([1, '<div class="b"><p>1</p></div>']);
  let looks = 0;
  const looked = h("p", { get class() { looks++; return "a"; } });
  render(h("div", null, looked), place);
  const before = looks;
  render(h("div", null, looked), place);
  expect(looks).toBe(before);
  render(h("div", { class: "b" }, node), place);
  count = 1;
  // Elsewhere it is another drawing of it.
  render(h("main", null, node, node), place);
  expect([count, place.textContent]).toEqual([3, "32"]);
});

test("a component is drawn again when a signal changes that it read, or what it is given, and alone", async () => {
  const [a, b] = [signal(1), signal(10)];
  const log: string[] = [];
  const Inner = ({ n }: { n: number }): VNode => (log.push(`inner ${n}`), h("b", null, n + b.value));
  const Outer = (): VNode => (log.push("outer"), h(Fragment, null, a.value > 1 ? "more" : null, h(Inner, { n: a.value > 2 ? 2 : 1 }), h("i", null)));
  render(h(Outer, null), place);
  const shown = async (): Promise<[string, string]> => {
    await drawn();
    return [log.splice(0).join(), place.innerHTML];
  };
  expect(await shown()).toEqual(["outer,inner 1", "<b>11</b><i></i>"]);
  b.value = 20;
  b.value = 30;
  expect(await shown()).toEqual(["inner 1", "<b>31</b><i></i>"]);
  a.value = 2;
  expect(await shown()).toEqual(["outer", "more<b>31</b><i></i>"]);
  // Both are old: the outer one draws the inner one.
  [a.value, b.value] = [3, 40];
  expect(await shown()).toEqual(["outer,inner 2", "more<b>42</b><i></i>"]);
  render(null, place);
  a.value = 4;
  expect(await shown()).toEqual(["", ""]);
});

test("a component that was nothing comes where it stands", async () => {
  const here = signal(false);
  const Some = (): VNode | null => (here.value ? h(Fragment, null, "a", h("b", null)) : null);
  const Around = (): VNode => h(Some, null);
  render(h("p", null, h("i", null), h(Fragment, null, h(Around, null), null), h("u", null)), place);
  for (const [value, html] of [[true, "<p><i></i>a<b></b><u></u></p>"], [false, "<p><i></i><u></u></p>"], [true, "<p><i></i>a<b></b><u></u></p>"]] as const) {
    here.value = value;
    await drawn();
    expect(place.innerHTML).toBe(html);
  }
});

test("one that fails does not keep others from being drawn", async () => {
  const told: unknown[] = [];
  Object.assign(globalThis, { reportError: (error: unknown) => told.push(error) });
  const at = signal(0);
  const Bad = (): VNode => {
    if (at.value === 1) throw new Error("bad");
    return h("b", null, at.value);
  };
  const Good = (): VNode => h("i", null, at.value);
  render([h(Bad, null), h(Good, null)], place);
  at.value = 1;
  await drawn();
  expect([told.length, place.querySelector("i")?.textContent]).toEqual([1, "1"]);
});

test("effects come when the drawing stands, what is inside first, and are ended", async () => {
  const log: string[] = [];
  const key = signal("k");
  const Part = ({ name, children }: { name: string; children?: ComponentChild }): VNode => {
    const first = useRef<HTMLElement>(null);
    const given = useMemo(() => key.value, [key.value]);
    useEffect(() => {
      log.push(`${name} ${given} ${first.current?.parentNode === null ? "alone" : "placed"}`);
      return () => log.push(`no ${name} ${given}`);
    }, [given]);
    return h("p", { ref: first }, children);
  };
  render(h(Part, { name: "out" }, h(Part, { name: "in 1" }), h(Part, { name: "in 2" })), place);
  expect(log.splice(0)).toEqual(["in 1 k placed", "in 2 k placed", "out k placed"]);
  render(h(Part, { name: "out" }, h(Part, { name: "in 1" })), place);
  expect(log.splice(0)).toEqual(["no in 2 k"]);
  key.value = "l";
  await drawn();
  expect(log.splice(0)).toEqual(["no out k", "out l placed", "no in 1 k", "in 1 l placed"]);
  render(null, place);
  expect(log.splice(0)).toEqual(["no out l", "no in 1 l"]);
});

test("what a component keeps is its own", async () => {
  const counts = new Map<string, Signal<number>>();
  const Counter = ({ name }: { name: string }): VNode => {
    const n = useSignal(0);
    counts.set(name, n);
    return h("b", null, n.value);
  };
  const one = h(Counter, { key: 1, name: "one" });
  const two = h(Counter, { key: 2, name: "two" });
  render([one, two], place);
  (counts.get("two") as Signal<number>).value = 7;
  await drawn();
  expect(place.textContent).toBe("07");
  render([two, one], place);
  expect(place.textContent).toBe("70");
});

test("attributes: true is empty, false is none, but where it says something", () => {
  const names = ["readonly", "disabled", "aria-busy", "aria-label", "spellcheck", "rows"];
  const shown = (props: object): unknown[] => {
    render(h("textarea", props), place);
    return names.map((name) => place.querySelector("textarea")?.getAttribute(name));
  };
  expect(shown({ readonly: true, disabled: false, "aria-busy": false, "aria-label": undefined, spellcheck: false, rows: 1 })).toEqual(["", null, "false", null, "false", "1"]);
  expect(shown({ "aria-busy": true, "aria-label": "a", spellcheck: undefined })).toEqual([null, null, "true", "a", null, null]);
});

test("a value is set where it differs from what is there, after what is in it", () => {
  const input = (value: string): HTMLInputElement => {
    render(h("input", { value }), place);
    return place.querySelector("input") as HTMLInputElement;
  };
  const one = input("a");
  one.value = "typed";
  expect(input("b").value).toBe("b");
  one.value = "typed";
  expect(input("b").value).toBe("b");
  render(h("input", { type: "checkbox", checked: true }), place);
  expect((place.querySelector("input") as HTMLInputElement).checked).toBe(true);
  render(h("input", { defaultValue: "a" }), place);
  expect((place.querySelector("input") as HTMLInputElement).defaultValue).toBe("a");
});

test("what is done at an event is what was drawn last", () => {
  const log: string[] = [];
  const button = (does: string | undefined): HTMLElement => {
    render(h("button", { onKeyDown: does && (() => log.push(does)) }), place);
    return place.querySelector("button") as HTMLElement;
  };
  for (const does of ["a", undefined, "b"]) button(does).dispatchEvent(new (document.defaultView as Window & typeof globalThis).Event("keydown"));
  expect(log).toEqual(["a", "b"]);
});

test("references are told what is there, and that it is gone", () => {
  const told: unknown[] = [];
  const ref = { current: null };
  const call = (element: unknown): void => void told.push(element);
  render(h("p", { ref: call }, h("b", { ref })), place);
  const [p, b] = [place.querySelector("p"), place.querySelector("b")];
  expect([told.splice(0), ref.current]).toEqual([[p], b]);
  render(h("p", { ref: call }), place);
  expect([told, ref.current]).toEqual([[], null]);
  render(null, place);
  expect(told).toEqual([null]);
});

test("drawings of marks are SVG", () => {
  render(h("svg", { viewBox: "0 0 5 5" }, h("path", { d: "M0 0" })), place);
  expect([...place.querySelectorAll("*")].map((each) => each.namespaceURI)).toEqual(Array(2).fill("http://www.w3.org/2000/svg"));
});
