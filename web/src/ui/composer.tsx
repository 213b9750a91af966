// Where people write: one line that grows, a preview, who writes, and what became of it.

import type { Signal } from "../state/signals.ts";
import type { VNode } from "preact";
import { draftKey, keptDraft } from "../keep/person.ts";
import { keepDraft } from "../keep/writing.ts";
import { type Composing, composing } from "../state/composing.ts";
import { dismissed, me } from "../state/me.ts";
import type { SendState } from "../state/outbox.ts";
import { keeping } from "../state/page.ts";
import type { Topic } from "../state/topic.ts";
import { author, changeKey, makeKey, ownerOf, post, tooLong, type Writing } from "../state/write.ts";
import { thread } from "../strings/en.ts";
import { compose as t } from "../strings/en-later.ts";
import { shownName } from "../strings/name.ts";
import { knownTree, treeOf } from "../workers/pool.ts";
import type { Tree } from "../workers/trees.ts";
import { around } from "./around.tsx";
import { body } from "./body.tsx";
import { nameOf } from "./comment.tsx";
import { refusal } from "./forms.tsx";
import { KeepName } from "./keepname.tsx";
import { useEffect, useRef, useSignal } from "./component.ts";

/** A draft is kept when the typing pauses. */
const draftMillis = 300;
/** How long "Saved" stands. */
const savedMillis = 30_000;

export interface ComposerProps {
  readonly topic: Topic;
  /** Without it, the topic's own line. */
  readonly about?: Composing;
  /** What was typed before this came. */
  readonly typed?: Signal<string>;
}

export function Composer({ topic, about, typed }: ComposerProps): VNode {
  const field = useRef<HTMLTextAreaElement>(null);
  const box = useRef<HTMLFormElement>(null);
  const text = useSignal(typed?.peek() ?? "");
  const open = useSignal(about !== undefined);
  const tab = useSignal<"write" | "preview">("write");
  const state = useSignal<SendState | undefined>(undefined);
  const naming = useSignal(false);
  const stop = useRef<AbortController | undefined>(undefined);
  const asks = useSignal(false);
  const writing: Writing = about ?? { kind: "comment" };
  const key = draftKey(topic.place, about === undefined ? "" : `${about.kind}-${about.row.id}`);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const isBusy = state.value?.at === "sending" || state.value?.at === "working";

  useEffect(() => {
    // The stub that was focused is gone, and with it the focus: it is the body's.
    if (about !== undefined || text.peek() !== "" || document.activeElement === document.body) field.current?.focus();
    void keeping.then((keep) => keptDraft(keep, key)).catch(() => "").then((draft) => {
      if (text.peek() === "") text.value = draft || (about?.kind === "edit" ? about.row.body : "");
      if (text.peek() !== "") open.value = true;
    });
    if (about !== undefined) requestAnimationFrame(() => box.current?.scrollIntoView({ block: "nearest" }));
    return () => {
      clearTimeout(timer.current);
      stop.current?.abort();
      keepNow();
    };
  }, [key]);

  function keepNow(): void {
    const now = text.peek();
    const unchanged = about?.kind === "edit" && now === about.row.body;
    void keeping.then((keep) => keepDraft(keep, key, unchanged ? "" : now, Date.now())).catch(() => undefined);
  }

  function input(value: string): void {
    text.value = value;
    if (state.peek() !== undefined && !isBusy) state.value = undefined;
    clearTimeout(timer.current);
    timer.current = setTimeout(keepNow, draftMillis);
  }

  async function send(): Promise<void> {
    const body = text.peek().trim();
    if (body === "" || isBusy || tooLong(topic, body) > 0) return;
    const isFirst = me.peek() === undefined;
    stop.current = new AbortController();
    tab.value = "write";
    try {
      let isSent = false;
      const done = await post(topic, writing, body, (next) => {
        if (isSent && next.at !== "saved") return;
        state.value = next;
        if (next.at !== "saved" || !next.done) return;
        setTimeout(() => {
          if (state.peek() === next) state.value = undefined;
        }, savedMillis);
      }, stop.current.signal);
      if (!done) return;
      isSent = true;
    } catch {
      state.value = stop.current.signal.aborted ? undefined : { at: "failed", code: "failed", detail: "", retryAfter: 0 };
      return;
    }
    text.value = "";
    keepNow();
    if (isFirst || (me.peek()?.kept.saved === false && !dismissed.peek().includes("keep"))) asks.value = true;
    if (about !== undefined && !asks.peek()) leave();
    else {
      open.value = false;
    }
  }

  /** The comment that was written about gets the focus: what has it goes. */
  function leave(): void {
    if (about === undefined) return;
    if (box.current?.contains(document.activeElement)) document.getElementById(`c-${about.row.id}`)?.focus({ preventScroll: true });
    composing.value = undefined;
  }

  function close(): void {
    if (about !== undefined) leave();
    else {
      open.value = false;
      field.current?.blur();
    }
  }

  const label = about === undefined ? thread.write : about.kind === "edit" ? t.edit : t.reply(nameOf(about.row));
  const long = tooLong(topic, text.value);
  const isOpen = open.value || text.value !== "";
  return (
    <>
      <form
        ref={box} class={isOpen ? "composer open" : "composer"} aria-label={label}
        onSubmit={(event) => { event.preventDefault(); void send(); }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); void send(); }
          if (event.key === "Escape") { event.stopPropagation(); close(); }
        }}
      >
        {isOpen && (
          <div class="tabs meta" role="tablist" aria-label={label}>
            {(["write", "preview"] as const).map((each) => (
              <button key={each} type="button" role="tab" class="link quiet" aria-selected={tab.value === each} onClick={() => (tab.value = each)}>{t[each]}</button>
            ))}
            <button type="button" class="icon shut" aria-label={t.cancel} title={t.cancel} onClick={close} />
          </div>
        )}
        {tab.value === "preview" ? <Preview text={text.value} /> : (
          <textarea
            ref={field} rows={1} dir="auto" aria-label={label} placeholder={label} value={text.value} readOnly={isBusy}
            onFocus={() => (open.value = true)} onClick={() => (open.value = true)} onInput={(event) => input(event.currentTarget.value)}
          />
        )}
        {isOpen && (
          <div class="foot">
            <span class="meta state" role="status">
              {state.value === undefined ? (long > 0 ? <span class="error">{t.tooLong(long)}</span> : <As naming={naming} about={about} />) : <Outcome state={state.value} retry={() => void send()} />}
            </span>
            {/* Two buttons, not one that changes: a click that stops would go on to post. */}
            {isBusy ? <button key="stop" type="button" onClick={() => stop.current?.abort()}>{t.stop}</button>
              : <button key="post" class="primary" disabled={text.value.trim() === "" || long > 0}>{about?.kind === "edit" ? t.save : t.post}</button>}
          </div>
        )}
        {!isOpen && state.value !== undefined && <p class="meta foot" role="status"><Outcome state={state.value} retry={() => void send()} /></p>}
      </form>
      {asks.value && me.value !== undefined && <KeepName who={me.value} after close={() => { asks.value = false; close(); }} />}
    </>
  );
}

function Preview({ text }: { readonly text: string }): VNode {
  const tree = useSignal<readonly Tree[] | undefined>(knownTree(text)?.tree);
  useEffect(() => {
    let here = true;
    if (knownTree(text) === undefined) void treeOf(text).then((next) => here && (tree.value = next));
    return () => {
      here = false;
    };
  }, [text]);
  return <div class="preview" tabIndex={0}>{text.trim() === "" ? <p class="meta">{t.nothing}</p> : body(text, tree.value)}</div>;
}

/** Who writes. Whoever has no name yet may say one, or post without. */
function As({ naming, about }: { readonly naming: Signal<boolean>; readonly about: Composing | undefined }): VNode {
  const who = about?.kind === "edit" ? ownerOf(about.row) : me.value;
  const name = who?.kept.name ?? "";
  async function rename(next: string): Promise<void> {
    naming.value = false;
    const clean = shownName(next);
    if (who === undefined) {
      if (clean !== "") await makeKey(clean);
    } else if (clean !== who.kept.name) await changeKey(await author(), { name: clean });
  }
  if (about?.kind === "edit") return <span>{name === "" ? t.noName : named(name)}</span>;
  return naming.value || who === undefined ? (
    <input
      class="naming" dir="auto" aria-label={t.name} placeholder={t.name} maxLength={48} defaultValue={name} autocomplete="nickname"
      onChange={(event) => void rename(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        event.currentTarget.blur();
      }}
      onBlur={() => (naming.value = false)}
    />
  ) : <button type="button" class="link quiet" title={t.name} onClick={() => (naming.value = true)}>{name === "" ? t.noName : named(name)}</button>;
}

function named(name: string): VNode {
  return around(t.as, <bdi>{name}</bdi>);
}

/** What became of it: a sentence, and one action where there is something to do. */
export function Outcome({ state, retry }: { readonly state: SendState; readonly retry: () => void }): VNode {
  switch (state.at) {
    case "sending":
      return <>{t.sending}</>;
    case "waits":
      return <span class="warn">{t.waits}</span>;
    case "working":
      return <>{t.working(state.part)}</>;
    case "saved":
      return <span class="ok">{t.saved(state.servers)}</span>;
    case "failed": {
      const again = <button type="button" class="link" onClick={retry}>{t.retry}</button>;
      if (state.code === "outbox-full") return <span class="error">{t.outboxFull}</span>;
      if (state.code === "rate-limited" || state.code === "busy") return <span class="error">{t.limited(Math.max(1, state.retryAfter))} {again}</span>;
      return <span class="error">{state.detail === "" ? t.failed : refusal(state)} {again}</span>;
    }
  }
}
