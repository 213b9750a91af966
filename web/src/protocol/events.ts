// Events: what is added on a server, as it comes. SPEC.md, section 4. EventSource would hide the lines that only say
// that the connection lives, and a dead one must be noticed within a minute: so the stream is read here.

import { fromUTF8 } from "./bytes.ts";
import { readFields } from "./fields.ts";
import { type Hash, parseHash } from "./hash.ts";
import { must } from "./lie.ts";

/** A line, and the data of one event. */
export const maxEvent = 4096;
export const maxEventId = 256;
/** After so long without a line a connection counts as dead. */
export const maxSilenceMillis = 60_000;

/** What a line, or some, said. id is where the listener is then, for Last-Event-ID. */
export type ServerEvent =
  | { readonly kind: "comment"; readonly topic: Hash; readonly comment: Hash; readonly id?: string }
  /** The server cannot tell what came before: the folders must be read. */
  | { readonly kind: "reset"; readonly id?: string }
  /** Where the listener is; or, without an id, only that the connection lives. */
  | { readonly kind: "alive"; readonly id?: string };

/** The events of a stream. Whoever waits for them counts the silence. */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  let id: string | undefined;
  let type = "";
  let data: string | undefined;
  const at = (): { id?: string } => (id === undefined ? {} : { id });
  for await (const line of readLines(chunks)) {
    if (line === "") {
      yield toEvent(type, data, at());
      type = "";
      data = undefined;
      continue;
    }
    const [, field = "", value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "event") type = value;
    else if (field === "data") data = data === undefined ? value : `${data}\n${value}`;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "") yield { kind: "alive", ...at() };
    must((data?.length ?? 0) <= maxEvent && (id?.length ?? 0) <= maxEventId, "an event's length");
  }
}

function toEvent(type: string, data: string | undefined, at: { id?: string }): ServerEvent {
  if (type === "reset" && data !== undefined) return { kind: "reset", ...at };
  // An event is a hint: one that says nothing is passed over.
  const said = type === "comment" ? readFields(data) : {};
  const [topic, comment] = [parseHash(String(said["topic"])), parseHash(String(said["comment"]))];
  return topic !== undefined && comment !== undefined ? { kind: "comment", topic, comment, ...at } : { kind: "alive", ...at };
}

/** Lines end with LF, CRLF or CR; the last one of a stream that broke is not whole and counts for nothing. */
async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let line: number[] = [];
  let afterCR = false;
  for await (const chunk of chunks) {
    for (const byte of chunk) {
      const isLFofCRLF = byte === 0x0a && afterCR;
      afterCR = byte === 0x0d;
      if (isLFofCRLF) continue;
      if (byte !== 0x0a && byte !== 0x0d) {
        must(line.length < maxEvent, "an event's length");
        line.push(byte);
        continue;
      }
      const text = fromUTF8(Uint8Array.from(line));
      must(text !== undefined, "the UTF-8 of events");
      yield text;
      line = [];
    }
  }
}
