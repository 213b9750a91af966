// A data channel as a line to a server: proves who is at the other end, then is a fetch for the protocol's client. What
// the other end sends is bounded: a message by its length, a body by the credit that was given.

import { concat } from "../protocol/bytes.ts";
import type { Fetch } from "../protocol/client.ts";
import type { Hash } from "../protocol/hash.ts";
import { atEnd, until } from "./deadline.ts";
import { answered, asked, odd } from "./message.ts";
import { tooEarly, Trouble } from "./reasons.ts";
import {
  creditOf, type Frame, frameWindow, greeting, type Greeting, handshake, handshakeSize, isHandshake, maxAnswer, maxFrameBody, maxFrameData, readAnswer, readMessage, writeFrame,
  writeHead,
} from "./wire.ts";

/** Bytes of a data channel's message: every browser sends and takes so many. */
const maxMessage = 16 << 10;
/** Credit is given when so much of a body was read. */
const creditStep = 256 << 10;
/** Messages that say nothing to us, before the first frame and between two. */
const maxStray = 1024;

/** What carries the bytes: a data channel that is open, ordered and reliable. */
export interface Port {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** Bytes that were sent and wait here, for the other end takes them slowly. */
  waiting(): number;
  onBytes(listener: (bytes: Uint8Array) => void): void;
  onEnd(listener: () => void): void;
  close(): void;
}

export interface Channel {
  /** What the other end says of itself, signed for the nonce. */
  readonly greeting: Promise<Greeting>;
  readonly fetch: Fetch;
  readonly closed: AbortSignal;
  close(): void;
}

/** An answer that is under way. */
interface Answer {
  began(response: Response): void;
  failed(error: unknown): void;
  /** Of the body: bytes that came and were not taken, who waits for them, and how much may still come. */
  readonly chunks: Uint8Array[];
  wake: (() => void) | undefined;
  window: number;
  taken: number;
  isBegun: boolean;
  isWhole: boolean;
  error: unknown;
}

/** Opens the protocol on a port. The infohash is a community that the server serves. */
export function openChannel(port: Port, infohash: Hash, peerId: Uint8Array, nonce: Uint8Array): Channel {
  const closed = new AbortController();
  const answers = new Map<number, Answer>();
  let last = 0;
  let number = 0;
  let greet: (greeting: Greeting) => void;
  const greeted = new Promise<Greeting>((resolve) => (greet = resolve));

  function close(reason: unknown = new Trouble("broke")): void {
    if (closed.signal.aborted) return;
    closed.abort(reason);
    port.close();
    for (const answer of answers.values()) fail(answer, reason);
    answers.clear();
  }

  const frame = (type: Frame["type"], request: number, payload: Uint8Array = new Uint8Array(0)): void => wire.send(writeFrame({ type, request, payload }, number));

  // ---- what comes

  function hear(said: Said): void {
    if ("frame" in said) return take(said.frame);
    number ||= said.greeting.extension;
    greet(copied(said.greeting));
  }

  function take({ type, request, payload }: Frame): void {
    const answer = answers.get(request);
    if (answer === undefined) {
      // What was given up here may still be on its way.
      if (request > last || request === 0) throw odd();
      return;
    }
    switch (type) {
      case "answer":
        if (answer.isBegun) throw odd();
        answer.isBegun = true;
        answer.began(respond(request, answer, payload));
        return;
      case "data":
        answer.window -= payload.length;
        if (!answer.isBegun || answer.window < 0) throw odd();
        answer.chunks.push(payload.slice());
        answer.wake?.();
        return;
      case "end":
        if (!answer.isBegun) throw odd();
        answer.isWhole = true;
        answers.delete(request);
        answer.wake?.();
        return;
      case "cancel":
        answers.delete(request);
        fail(answer, tooEarly());
        return;
      default:
        throw odd();
    }
  }

  function fail(answer: Answer, error: unknown): void {
    answer.error = error;
    answer.failed(error);
    answer.wake?.();
  }

  function respond(request: number, answer: Answer, payload: Uint8Array): Response {
    const { status, headers } = readAnswer(payload);
    return answered(status, headers, () => next(request, answer), (reason) => giveUp(request, reason));
  }

  /** The next of a body. Credit is given for what was taken. */
  async function next(request: number, answer: Answer): Promise<Uint8Array | undefined> {
    while (answer.chunks.length === 0 && !answer.isWhole && answer.error === undefined) {
      await new Promise<void>((resolve) => (answer.wake = resolve));
    }
    const chunk = answer.chunks.shift();
    if (chunk === undefined) {
      if (answer.error !== undefined) throw answer.error;
      return undefined;
    }
    answer.taken += chunk.length;
    if (answer.taken >= creditStep && !answer.isWhole) {
      frame("credit", request, creditOf(answer.taken));
      answer.window += answer.taken;
      answer.taken = 0;
    }
    return chunk;
  }

  function giveUp(request: number, reason: unknown): void {
    const answer = answers.get(request);
    if (answer === undefined) return;
    answers.delete(request);
    frame("cancel", request);
    answer.chunks.length = 0;
    fail(answer, reason);
  }

  // ---- what is asked

  const fetch: Fetch = async (url, init) => {
    const { signal } = init;
    const { body: sent, ...head } = await asked(url, init, maxFrameBody);
    closed.signal.throwIfAborted();
    signal?.throwIfAborted();
    const request = ++last;
    const response = new Promise<Response>((began, failed) => {
      answers.set(request, { began, failed, chunks: [], wake: undefined, window: frameWindow, taken: 0, isBegun: false, isWhole: false, error: undefined });
    });
    const stop = (): void => giveUp(request, signal?.reason);
    atEnd(signal ?? undefined, stop);
    frame("request", request, writeHead({ ...head, length: sent.length }));
    for (let at = 0; at < sent.length; at += maxFrameData) frame("data", request, sent.subarray(at, at + maxFrameData));
    return response;
  };

  const wire = openWire(port, infohash, maxAnswer, hear, close);
  wire.send(concat([handshake(infohash, peerId), greeting(nonce)]));
  const proved = until(closed.signal, greeted);
  // Whoever waits for it hears; that nobody does is no fault.
  proved.catch(() => undefined);
  return { greeting: proved, fetch, closed: closed.signal, close: () => close() };
}

export type Said = Exclude<ReturnType<typeof readMessage>, undefined>;

/** One end of the wire on a port: hears what messages say, and ends at what is no protocol, or with the port. */
export function openWire(port: Port, infohash: Hash, largest: number, hear: (said: Said) => void, end: (reason?: unknown) => void): { send(bytes: Uint8Array<ArrayBuffer>): void } {
  let buffer: Uint8Array = new Uint8Array(0);
  let parts: Uint8Array[] = [];
  let have = 0;
  let need = handshakeSize;
  let isOpen = false;
  let isEnded = false;
  let stray = 0;

  function stop(reason?: unknown): void {
    isEnded = true;
    end(reason);
  }

  function arrived(bytes: Uint8Array): void {
    if (isEnded) return;
    parts.push(bytes);
    have += bytes.length;
    try {
      while (have >= need) {
        buffer = concat(parts);
        step();
        parts = [buffer];
        have = buffer.length;
      }
    } catch (error) {
      stop(error);
    }
  }

  /** Takes what is whole at the beginning of the buffer. */
  function step(): void {
    if (!isOpen) {
      if (!isHandshake(buffer, infohash)) throw odd();
      isOpen = true;
      buffer = buffer.subarray(handshakeSize);
      need = 4;
      return;
    }
    while (buffer.length >= 4) {
      const length = new DataView(buffer.buffer, buffer.byteOffset).getUint32(0);
      if (length > largest) throw odd();
      need = 4 + length;
      if (buffer.length < need) return;
      const bytes = buffer.subarray(4, need);
      buffer = buffer.subarray(need);
      need = 4;
      const said = bytes.length === 0 ? undefined : readMessage(bytes);
      if (said === undefined || "greeting" in said) {
        if (++stray > maxStray) throw odd();
      } else stray = 0;
      if (said !== undefined) hear(said);
    }
  }

  port.onBytes(arrived);
  port.onEnd(() => stop());
  return {
    send(bytes) {
      try {
        for (let at = 0; at < bytes.length; at += maxMessage) port.send(bytes.slice(at, at + maxMessage));
      } catch {
        stop();
      }
    },
  };
}

/** Parts of a buffer that goes on, each by itself. */
function copied({ extension, hello, signature }: Greeting): Greeting {
  return { extension, hello: hello?.slice(), signature: signature?.slice() };
}
