// What the page and its workers say to one another. All of it is plain data.

import type { IPFSView } from "../net/net.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import type { Order } from "../protocol/sort.ts";

/** A comment as a row of the page. What is absent is empty or false. */
export interface Row {
  readonly id: Hash;
  readonly depth: number;
  readonly body: string;
  /** Plain text: no Markdown. */
  readonly plain?: true;
  readonly key?: string;
  /** Fit to be shown; see strings/name.ts. */
  readonly user?: string;
  /** Another key here goes by the same name. */
  readonly clash?: true;
  readonly date?: string;
  readonly edited?: string;
  readonly deleted?: true;
  readonly up: number;
  readonly down: number;
  /** What the reader voted. */
  readonly vote?: "up" | "down";
  readonly parent?: Hash;
  /** Who is answered, by name or short key. */
  readonly to?: string;
  /** The comment that is answered is not here. */
  readonly missing?: true;
  /** At any depth below. */
  readonly replies: number;
  /** Why it is not shown: the number of a list of the reader's, or that he muted its key. */
  readonly hidden?: number | "muted";
  readonly pinned?: true;
  readonly locked?: true;
  /** Came since the reader was here last, or since he began to read. */
  readonly fresh?: true;
  readonly mine?: true;
  /** The document whose body is shown: the comment or its newest edit. */
  readonly shown: Hash;
}

/** Up to some fifty rows; they are drawn as one. */
export interface Section {
  readonly key: string;
  readonly rows: readonly Row[];
}

/** An answer to one of the reader's comments. */
export interface Reply {
  readonly id: Hash;
  /** Its author's, or empty. */
  readonly key: string;
  /** Fit to be shown, or empty. */
  readonly user: string;
  /** Its first words. */
  readonly text: string;
}

export interface ThreadFacts {
  /** In clear, if a document proves it. */
  readonly name: string;
  readonly total: number;
  /** Comments that wait for the reader to want them. */
  readonly pending: number;
  /** Hidden comments by list number, and those of muted keys last. */
  readonly hiddenBy: readonly number[];
  readonly locked: boolean;
  /** Files that are still to be verified. */
  readonly unverified: number;
  /** Comments that are new to him. */
  readonly fresh: number;
  /** Answers to the reader's own comments that he has not seen before this visit. */
  readonly replies: readonly Reply[];
}

/** How the reader reads. */
export interface Reading {
  readonly order: Order;
  /** His public keys. */
  readonly mine: readonly string[];
  readonly muted: readonly string[];
  /** Places of the lists that he chose, in his order. */
  readonly lists: readonly Place[];
  readonly showHidden: boolean;
}

export type ToThread =
  | { readonly kind: "open"; readonly session: number; readonly place: Place; readonly reading: Reading;
      /** To see what is new without having been there: nothing is kept. */
      readonly quiet: boolean }
  /** Of a topic that nothing is held of: what one server has is read before the network is here. Answered by "looked". */
  | { readonly kind: "first"; readonly session: number; readonly origin: string;
      /** Its folder, which the page asked for while this worker was made; absent where a stream cannot be handed over. */
      readonly body?: ReadableStream<Uint8Array> }
  | { readonly kind: "files"; readonly session: number; readonly server: string; readonly pack: ArrayBuffer; readonly list?: Place;
      /** The SHA-1 of each file of which it is known, and known to be no half of a collision. */
      readonly ids?: readonly (Hash | undefined)[] }
  /** A document that the reader just signed: shown at once. */
  | { readonly kind: "own"; readonly session: number; readonly bytes: Uint8Array; readonly list?: Place }
  /** An own document that is taken back before it was sent. */
  | { readonly kind: "undo"; readonly session: number; readonly id: Hash }
  /** A server has an own document. */
  | { readonly kind: "sent"; readonly session: number; readonly id: Hash }
  | { readonly kind: "reading"; readonly session: number; readonly reading: Reading }
  /** Nothing may move from now on. */
  | { readonly kind: "settle"; readonly session: number }
  /** All of the folder of this id came. */
  | { readonly kind: "folder"; readonly session: number; readonly id: string }
  /** All that the network has at present came. */
  | { readonly kind: "live"; readonly session: number }
  /** Show what waits. */
  | { readonly kind: "apply"; readonly session: number }
  | { readonly kind: "close"; readonly session: number }
  /** Asks what the lists say; answered by "lists". */
  | { readonly kind: "lists"; readonly session: number }
  /** Searches what is kept; answered by "found". */
  | { readonly kind: "search"; readonly session: number; readonly words: string }
  | { readonly kind: "helpers"; readonly ports: readonly MessagePort[] }
  /** Makes this worker a helper that only checks signatures. */
  | { readonly kind: "help"; readonly port: MessagePort };

/** What a list says, for who keeps one. Things are as in "hide <id>", "ban <key>", "delegate <key> <tag>". */
export interface FilterView {
  /** Absent while no act is known. */
  readonly key?: string;
  readonly tag?: string;
  /** The owner's words, and their dates. */
  readonly own: ReadonlyMap<string, { readonly yes: boolean; readonly date: string }>;
  /** What delegates say yes to and the owner says nothing of, and whose list that is. */
  readonly theirs: ReadonlyMap<string, string>;
  /** Delegates beyond those that are heard. */
  readonly unheard: number;
}

export interface Found {
  readonly place: Place;
  readonly id: Hash;
  readonly topic: string;
  readonly user: string;
  readonly text: string;
  readonly date: string;
}

export type FromThread =
  /** It listens. */
  | { readonly kind: "ready" }
  /** What is held of the topic, so that it need not be brought. */
  | { readonly kind: "held"; readonly session: number; readonly ids: readonly Hash[]; readonly folder: string }
  /** What came at the first look, and the folder that it is all of. */
  | { readonly kind: "looked"; readonly session: number; readonly ids: readonly Hash[]; readonly folder: string }
  /** There is Markdown among the first comments. */
  | { readonly kind: "markdown"; readonly session: number }
  /** order: the keys of all sections; changed: those whose rows follow or were never sent. */
  | { readonly kind: "thread"; readonly session: number; readonly facts: ThreadFacts; readonly order: readonly string[] }
  | { readonly kind: "section"; readonly session: number; readonly section: Section }
  /** All other places whose documents the lists need now. */
  | { readonly kind: "delegates"; readonly session: number; readonly places: readonly Place[] }
  | { readonly kind: "lists"; readonly session: number; readonly filters: readonly FilterView[] }
  | { readonly kind: "found"; readonly session: number; readonly found: readonly Found[]; readonly done: boolean }
  /** This browser checks signatures slowly, or there are many: more workers are wanted. */
  | { readonly kind: "wanted" }
  /** It has no room to keep more of what is read. */
  | { readonly kind: "full" };

/** A signature to check, for helpers. */
export interface Claim {
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** Asks the IPFS node: without a root for the id that the site names of a topic's folder, else for blocks of that one. */
export interface ToPeer {
  readonly n: number;
  readonly topic: string;
  readonly root?: string;
  readonly cids: readonly string[];
  /** Multiaddrs of servers' nodes. */
  readonly nodes: readonly string[];
}

export type FromPeer =
  /** car: those of the blocks that came. */
  | { readonly n: number; readonly id?: string; readonly car?: ArrayBuffer }
  | { readonly view: IPFSView };
