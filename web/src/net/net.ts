// What the screens need of the network, whatever carries it: HTTP, WebTransport, a WebRTC data channel. Nothing that
// comes through here is believed but what its hash proves; signatures are judged by who takes the files.

import type { Hash, Place } from "../protocol/hash.ts";
import type { Sum } from "../protocol/sha1.ts";
import type { Reason, TrackerReason } from "./reasons.ts";
import type { Ways } from "./rtc.ts";

/** How a server is reached. */
export type Carrier = "http" | "webtransport" | "webrtc";

/** What the page's own IPFS node does (workers/peer.ts): nodes it is connected to, blocks that it got and gave. */
export interface IPFSView {
  readonly peers: number;
  readonly got: number;
  readonly given: number;
}

/** How a server was found. */
export type FoundBy = "typed" | "config" | "remembered" | "tracker" | "hello" | "host";

/** A way to a server that was tried in vain. */
export interface Missed {
  readonly carrier: Carrier;
  readonly reason: Reason;
}

/** One server as the network panel shows it. */
export interface ServerView {
  /** Its key, 64 hex digits, once its hello proved it; else what it was found as. */
  readonly id: string;
  readonly origin: string | undefined;
  readonly foundBy: FoundBy;
  readonly carrier: Carrier | undefined;
  readonly state: "asking" | "working" | "failed" | "lied" | "unused";
  /** Milliseconds since 1970 of its last good answer. */
  readonly answered: number | undefined;
  /** Of its last answer, milliseconds. */
  readonly took: number | undefined;
  /** Why not, in a code that strings/ has a sentence for, and its particulars. */
  readonly reason: Reason | undefined;
  /** Of the last time that ways to it were looked for. */
  readonly missed: readonly Missed[];
  readonly contact: string;
  readonly limits: { readonly maxSize: number; readonly work: number; readonly newWork: number } | undefined;
}

/** A comment's bytes, whose SHA-1 is `id`. Not yet judged as a document. */
export interface File {
  readonly id: Hash;
  readonly bytes: Uint8Array;
  /** The SHA-1, where what was found with it is known. */
  readonly sum?: Sum | undefined;
}

export type ReadState =
  /** Looking for servers, or waiting for the first answer. */
  | "searching"
  /** A server answered; files are coming. */
  | "reading"
  /** All that the servers asked have is here, or of those that answered in time, and news comes as it is posted. */
  | "live"
  /** The servers asked know nothing of the topic: nobody has posted. */
  | "empty"
  /** No server was found, or none answers. It goes on trying. */
  | "unreachable";

/** Where a topic's files go. Calls come in order and never after close(). */
export interface TopicSink {
  /** Files, in batches, each named by one server's folder; a file may come again from another server. */
  files(files: readonly File[], server: string): void;
  /** How many comments the first folder that came has in all, once known. */
  total(n: number): void;
  state(state: ReadState): void;
  /** How many servers agree on the present folder, and how many were asked. */
  agreement(agree: number, asked: number): void;
  /** Comments that only one of the servers asked has, two minutes after that was seen. Each call replaces the one before. */
  onOneServer(ids: ReadonlySet<Hash>): void;
  /** All of the folder of this id came, or was held: with all that, read() can be given it the next time. names: what is in it. */
  folder(id: string, names: Iterable<Hash>): void;
}

/** A folder that is here whole. */
export interface Whole {
  readonly id: string;
  readonly names: ReadonlySet<Hash>;
}

/** A topic that is being read, as far as other readers' pages may add to it and be given of it: pages.ts. */
export interface Reading {
  /** What was here at its beginning. */
  readonly held: ReadonlySet<Hash>;
  readonly sink: TopicSink;
  /** The last folder that a server gave, or pages. */
  whole: Whole | undefined;
  /** What the servers' reader says. */
  state: ReadState;
  /** Pages say the state, not servers. */
  isByPages: boolean;
}

export interface TopicReader {
  /** Stops reading and frees what it holds. */
  close(): void;
  /** Asks again now, as when a person presses a button. */
  retry(): void;
}

export type PostOutcome =
  | { readonly ok: true; readonly created: boolean; readonly server: string }
  | { readonly ok: false; readonly server: string; readonly code: string; readonly detail: string; readonly retryAfter: number; readonly work: number };

export interface ActiveTopic {
  readonly topic: Hash;
  readonly name: string;
  readonly comments: number;
  /** Milliseconds since 1970; undefined where no comment is dated. */
  readonly last: number | undefined;
}

/** One tracker as the network panel shows it. */
export interface TrackerView {
  readonly url: string;
  readonly state: "asking" | "working" | "failed" | "unused";
  /** Servers that it led to. */
  readonly found: number;
  /** A code of reasons.ts. */
  readonly reason: { readonly code: TrackerReason; readonly detail: string } | undefined;
}

export interface Net {
  /** Servers as they are now; `changed` calls back after each change, at most once a frame. */
  servers(): readonly ServerView[];
  changed(listener: () => void): () => void;
  trackers(): readonly TrackerView[];
  /** Starts the page's IPFS node, where it may have one, or ends it. It starts by itself when no server answers. */
  useIPFS(on: boolean): void;
  /** Undefined while there is none. */
  ipfs(): IPFSView | undefined;

  /**
   * Reads a topic and goes on reading it. `held` are ids that need not be brought again; `folder` is the id of a folder
   * (TopicSink.folder) all of whose comments are among them, and saves the asking where nothing changed.
   */
  read(place: Place, held: ReadonlySet<Hash>, sink: TopicSink, folder?: string): TopicReader;

  /**
   * Posts to as many servers as `want`, one after the other answer; `told` hears of each outcome. Resolves when the
   * last one is known. A `work-needed` outcome is the caller's to pay: work changes the document.
   */
  post(place: Place, bytes: Uint8Array, want: number, told: (outcome: PostOutcome) => void, signal: AbortSignal): Promise<void>;

  /** The newest active topics of the community, names proven by their hash. */
  active(community: Hash, signal: AbortSignal): Promise<readonly ActiveTopic[]>;

  /** What readers' pages need to find one another. Undefined where the browser has no WebRTC. */
  readonly ways: Ways | undefined;
  /** The reading of a topic that is open. */
  reading(place: Place): Reading | undefined;

  /** A server that a person typed. Resolves when it proved itself or failed. */
  add(origin: string): Promise<ServerView>;

  close(): void;
}
