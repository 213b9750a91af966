// What screens are put together from: dialogs, lines to fill in, keys, facts, and links to topics.

import type { ComponentChildren, VNode } from "preact";
import type { Hash, Place } from "../protocol/hash.ts";
import { writeRoute } from "../route.ts";
import { page, thread } from "../strings/en.ts";
import { compose, home, network } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { around } from "./around.tsx";
import { useEffect, useRef, useSignal } from "./component.ts";
import { mark, shortKey } from "./mark.tsx";

interface DialogProps {
  readonly kind: "sheet" | "side" | "menu";
  readonly title: string;
  /** It is closed, and goes by that: one that only goes does not give the focus back. */
  readonly close: () => void;
  readonly shown?: (dialog: HTMLDialogElement) => void;
  readonly children: ComponentChildren;
}

/** Lies over the page. A form of the method "dialog" in it closes it. */
export function Dialog({ kind, title, close, shown, children }: DialogProps): VNode {
  const box = useRef<HTMLDialogElement>(null);
  const shut = (): void => box.current?.close();
  useEffect(() => {
    const dialog = box.current as HTMLDialogElement;
    dialog.showModal();
    shown?.(dialog);
  }, []);
  return (
    // What is written in does not go by a click on the page.
    <dialog ref={box} class={kind} aria-label={title} onClose={close} onClick={(event) => kind !== "sheet" && event.target === box.current && shut()}>
      {kind !== "menu" && (
        <header>
          <h2>{title}</h2>
          <button class="icon shut" aria-label={page.close} title={page.close} onClick={shut} />
        </header>
      )}
      {children}
    </dialog>
  );
}

interface FieldProps {
  readonly label: string;
  readonly hint?: string;
  readonly go: string;
  /** Says what became of it; nothing where it is done. */
  readonly act: (text: string) => string | Promise<string>;
}

/** One line that a person fills in, and what became of it. */
export function Field({ label, hint = label, go, act }: FieldProps): VNode {
  const text = useSignal("");
  const said = useSignal("");
  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    said.value = home.loading;
    said.value = await act(text.value.trim());
    if (said.value === "") text.value = "";
  }
  return (
    <>
      <form class="box" onSubmit={(event) => void submit(event)}>
        <input dir="auto" aria-label={label} placeholder={hint} autocapitalize="off" autocomplete="off" spellcheck={false} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
        <button disabled={text.value.trim() === ""}>{go}</button>
      </form>
      <p class="meta" role="status">{said.value}</p>
    </>
  );
}

interface CheckProps {
  readonly on: boolean;
  readonly set: (on: boolean) => void;
  readonly label?: string;
  readonly children?: ComponentChildren;
}

export function Check({ on, set, label, children }: CheckProps): VNode {
  return <label><input type="checkbox" checked={on} aria-label={label} onChange={(event) => set(event.currentTarget.checked)} /> {children}</label>;
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: string;
  /** lang: of a name that is said in another language. */
  readonly options: readonly (readonly [value: T, name: string, lang?: string])[];
  readonly set: (value: T) => void;
}

/** One of some. */
export function Choice<T extends string>({ label, value, options, set }: ChoiceProps<T>): VNode {
  return (
    <p>
      <label>
        {label}{" "}
        <select aria-label={label} value={value} onChange={(event) => set(event.currentTarget.value as T)}>
          {options.map(([each, name, lang]) => <option key={each} value={each} lang={lang}>{name}</option>)}
        </select>
      </label>
    </p>
  );
}

/** Whose a key is: by the name that is known of it, and by itself. */
export function who(key: string, name?: ComponentChildren): VNode {
  return <>{mark(key)} {name} <code class="key">{shortKey(key)}</code></>;
}

/** In others' words, which are English. */
export function quoted(detail: string): VNode {
  return <q lang="en" dir="auto">{detail}</q>;
}

/** Why no server takes something. */
export function refusal({ code, detail }: { readonly code: string; readonly detail: string }): VNode {
  return around(compose.refused, (network.reasons as Readonly<Record<string, string>>)[code] ?? quoted(detail));
}

/** The parts of a line that say something. */
export function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(" · ");
}

/** A topic's name, as it may be shown; not all names are known. */
export function titleOf({ topic }: Place, name: string): string {
  return shownName(name.replace(/^https?:\/\//, "")) || thread.unnamed(topic);
}

/** The address of a topic, or of a comment in it. */
export function linkTo({ community, topic }: Place, name: string, comment?: Hash): string {
  return writeRoute({ screen: "thread", community, topic: name || topic, ...(comment !== undefined ? { comment } : {}) });
}

/** A line that is there to be copied. */
export function Shown({ label, value }: { readonly label: string; readonly value: string }): VNode {
  return <input readOnly dir="ltr" aria-label={label} value={value} onFocus={(event) => event.currentTarget.select()} />;
}
