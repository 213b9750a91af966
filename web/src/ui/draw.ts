// Draws nodes, which say what is to be seen, as elements, and when they are drawn again changes no more than differs. It
// does what this page needs of preact, which the tests compare it with, in a third of its size; JSX's types are preact's.
//
// A node may be drawn any number of times. One that is given again where it stands is not looked at: it is the same.

import type { ComponentChild, ComponentChildren, FunctionComponent, VNode } from "preact";
import { effect } from "../state/signals.ts";

type Props = Readonly<Record<string, unknown>>;
/** A node, or a text. */
type Shown = VNode<Props> | string;

/** What holds others. Not all browsers can move them. */
type Host = (Element | DocumentFragment) & { moveBefore?(node: Node, next: Node | null): void };

const svg = "http://www.w3.org/2000/svg";

/** A node without an element: what is in it stands where it stands. */
export const Fragment: FunctionComponent = ({ children }) => children as VNode;

/** What JSX is made to. */
export function h(type: VNode["type"], given: object | null, ...children: ComponentChild[]): VNode {
  const props = (given ?? {}) as Record<string, unknown>;
  if (children.length > 0) props["children"] = children.length > 1 ? children : children[0];
  return { type, props, key: props["key"] } as VNode;
}

/** What a component is between its drawings; component.ts says what it keeps. */
export interface Self {
  readonly kept: { value: unknown; readonly given: readonly unknown[] }[];
  /** So many of what it keeps were asked for in this drawing. */
  next: number;
  /** What is to be done once the drawing stands in the page. */
  readonly due: (() => void)[];
  /** What is to be done when it goes. */
  readonly ends: (() => void)[];
  /** Lets go of the signals that it read. */
  forget?: () => void;
  /** It is to be drawn again. */
  isOld: boolean;
}

/** The component that is being drawn. */
export let drawing: Self;

/** What was drawn of a node or a text. */
class Drawn implements EventListenerObject {
  shows: Shown = "";
  /** What was drawn of what is in it; undefined where that is nothing. */
  parts: readonly (Drawn | undefined)[] = [];
  /** Of a component. */
  self: Self | undefined;
  acts: Record<string, unknown> | undefined;
  readonly depth: number;

  constructor(readonly above: Drawn | undefined, /** Of an element or a text. */ readonly dom: Host | Text | undefined) {
    this.depth = above === undefined ? 0 : above.depth + 1;
  }

  handleEvent(event: Event): void {
    (this.acts?.[event.type] as ((event: Event) => void) | undefined)?.(event);
  }
}

const isText = (shown: Shown | undefined): shown is string => typeof shown === "string";

function isSame(old: Drawn | undefined, node: Shown): boolean {
  if (old === undefined) return false;
  const { shows } = old;
  return isText(node) || isText(shows) ? typeof node === typeof shows : node.type === shows.type && node.key === shows.key;
}

function shownOf(child: ComponentChildren): Shown | undefined {
  if (child == null || typeof child === "boolean") return undefined;
  if (Array.isArray(child)) return h(Fragment, { children: child }) as Shown;
  return typeof child === "object" ? (child as Shown) : String(child);
}

/** Where each node was before, -1 if nowhere. What is no more goes. */
function match(parts: readonly (Drawn | undefined)[], nodes: readonly (Shown | undefined)[]): number[] {
  const old = [...parts];
  let keys: Map<unknown, number> | undefined;
  const from = nodes.map((node, i) => {
    if (node === undefined) return -1;
    let at = i;
    if (!isSame(old[at], node)) {
      if (isText(node) || node.key == null) return -1;
      keys ??= new Map(old.flatMap((part, n) => (part === undefined || isText(part.shows) ? [] : [[part.shows.key, n]])));
      at = keys.get(node.key) ?? -1;
      if (!isSame(old[at], node)) return -1;
    }
    old[at] = undefined;
    return at;
  });
  for (const gone of old) gone && drop(gone);
  return from;
}

/** The most that may stay where it is while the others move: the longest series that ascends. */
function staying(from: readonly number[]): ReadonlySet<number> {
  // Of each length the place where the series ends that has the lowest end, and what comes before each place.
  const ends: number[] = [];
  const before: (number | undefined)[] = [];
  from.forEach((at, i) => {
    if (at < 0) return;
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((from[ends[middle] as number] as number) < at) low = middle + 1;
      else high = middle;
    }
    before[i] = ends[low - 1];
    ends[low] = i;
  });
  const stay = new Set<number>();
  for (let i = ends.at(-1); i !== undefined; i = before[i]) stay.add(i);
  return stay;
}

/** Has these be in a part, before another node of its element. */
function fill(part: Drawn, children: ComponentChildren, host: Host, next: Node | null): void {
  const nodes = (Array.isArray(children) ? children : [children]).map(shownOf);
  const { parts: old } = part;
  const from = old.length > 0 ? match(old, nodes) : [];
  const stay = staying(from);
  const parts: (Drawn | undefined)[] = Array(nodes.length);
  // From the last one: what stands after each is known then.
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    if (node === undefined) continue;
    const known = old[from[i] as number];
    const each = known ?? create(node, part, host);
    parts[i] = each;
    update(each, node, host, next, known === undefined);
    if (known === undefined ? each.dom !== undefined : !stay.has(i)) put(each, host, next);
    next = firstOf(each) ?? next;
  }
  part.parts = parts;
}

function create(node: Shown, above: Drawn, host: Host): Drawn {
  if (isText(node)) return new Drawn(above, document.createTextNode(""));
  const { type } = node;
  if (typeof type === "string") {
    const space = type === "svg" ? svg : ((host as Partial<Element>).namespaceURI ?? document.documentElement.namespaceURI);
    return new Drawn(above, document.createElementNS(space, type));
  }
  const made = new Drawn(above, undefined);
  if (type !== Fragment) made.self = { kept: [], next: 0, due: [], ends: [], isOld: false };
  return made;
}

function update(part: Drawn, node: Shown, host: Host, next: Node | null, isNew: boolean): void {
  const { shows: old, dom } = part;
  if (node === old) return;
  part.shows = node;
  if (isText(node)) {
    (dom as Text).data = node;
    return;
  }
  const { type, props } = node;
  const before = isText(old) ? {} : old.props;
  if (typeof type === "string") dress(part, dom as Element, props, before);
  else if (type === Fragment) fill(part, props["children"] as ComponentChildren, host, next);
  else if (isNew || !isEqual(props, before)) draw(part, host, next);
}

function isEqual(a: Props, b: Props): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** Draws a component, and anew when a signal changes that it read. */
function draw(part: Drawn, host: Host, next: Node | null): void {
  const { type, props } = part.shows as VNode<Props>;
  const self = part.self as Self;
  self.forget?.();
  self.isOld = false;
  self.next = 0;
  let drawn: ComponentChildren;
  let isFirst = true;
  self.forget = effect(() => {
    if (!isFirst) return redrawLater(part);
    isFirst = false;
    drawing = self;
    drawn = (type as FunctionComponent<Props>)(props);
  });
  dues.push(self.due);
  fill(part, drawn, host, next);
}

/** Properties, not attributes: they are set where they differ from what is there, which a person changes, too. */
const own = ["defaultValue", "value", "checked"];
const noAttributes = new Set(["children", "key", "ref", ...own]);

function dress(part: Drawn, dom: Element, now: Props, before: Props): void {
  for (const name in before) if (!(name in now)) set(part, dom, name, undefined);
  for (const name in now) if (now[name] !== before[name]) set(part, dom, name, now[name]);
  fill(part, now["children"] as ComponentChildren, dom, null);
  for (const name of own) {
    if (name in now && (dom as unknown as Props)[name] !== now[name]) (dom as unknown as Record<string, unknown>)[name] = now[name];
  }
  if (now["ref"] !== before["ref"]) point(now["ref"], dom);
}

function point(ref: unknown, dom: Element | null): void {
  if (typeof ref === "function") ref(dom);
  else if (ref) (ref as { current: unknown }).current = dom;
}

function set(part: Drawn, dom: Element, name: string, value: unknown): void {
  if (noAttributes.has(name)) return;
  if (name.startsWith("on")) {
    const type = name.slice(2).toLowerCase();
    part.acts ??= {};
    part.acts[type] = value;
    dom.addEventListener(type, part);
    return;
  }
  // Of these false is a value like others.
  const isSaid = value != null && (value !== false || /^aria-|^spellcheck/.test(name));
  if (isSaid) dom.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : String(value));
  else dom.removeAttribute(name);
}

function firstOf(part: Drawn): Node | undefined {
  if (part.dom !== undefined) return part.dom;
  for (const each of part.parts) {
    const first = each && firstOf(each);
    if (first !== undefined) return first;
  }
  return undefined;
}

/** What stands in the same element after a part. */
function after(part: Drawn): Node | null {
  const { above } = part;
  if (above === undefined) return null;
  for (const each of above.parts.slice(above.parts.indexOf(part) + 1)) {
    const first = each && firstOf(each);
    if (first !== undefined) return first;
  }
  return above.dom === undefined ? after(above) : null;
}

/** Puts all that a part consists of before another node. What was there already keeps its focus, where browsers can do that. */
function put({ dom, parts }: Drawn, host: Host, next: Node | null): void {
  if (dom === undefined) for (const each of parts) each && put(each, host, next);
  else if (host.moveBefore && dom.isConnected) host.moveBefore(dom, next);
  else host.insertBefore(dom, next);
}

function drop(part: Drawn): void {
  end(part);
  remove(part);
}

function remove({ dom, parts }: Drawn): void {
  if (dom !== undefined) (dom as ChildNode).remove();
  else for (const each of parts) each && remove(each);
}

function end({ shows, self, parts }: Drawn): void {
  if (!isText(shows)) point(shows.props["ref"], null);
  if (self !== undefined) {
    self.isOld = false;
    self.forget?.();
    for (const act of self.ends) act();
  }
  for (const each of parts) each && end(each);
}

/** What components have to do now, those first that were begun last. */
const dues: (() => void)[][] = [];
const waiting: Drawn[] = [];

function settle(): void {
  for (const due of dues.splice(0).reverse()) for (const act of due.splice(0)) act();
}

/** In a microtask, all that are old by then; the outer ones first, since they draw what is in them. */
function redrawLater(part: Drawn): void {
  (part.self as Self).isOld = true;
  if (waiting.push(part) > 1) return;
  queueMicrotask(() => {
    for (const each of waiting.splice(0).sort((a, b) => a.depth - b.depth)) {
      if (each.self?.isOld !== true) continue;
      let { above } = each as { above: Drawn };
      while (above.dom === undefined) above = above.above as Drawn;
      try {
        draw(each, above.dom as Host, after(each));
        settle();
      } catch (error) {
        reportError(error);
      }
    }
  });
}

const roots = new WeakMap<Node, Drawn>();

/** Has a place show a node, and nothing else. */
export function render(node: ComponentChild, place: Element | DocumentFragment): void {
  let root = roots.get(place);
  if (root === undefined) roots.set(place, (root = new Drawn(undefined, place)));
  fill(root, node, place, null);
  settle();
}
