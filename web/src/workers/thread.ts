// The worker that reads topics: parsing, signatures, folds, what is kept of files, and search over it.

import { type Keep, openKeep } from "../keep/keep.ts";
import { addFiles, changeTopic, keptFiles, keptTopic, replaceFiles } from "../keep/topics.ts";
import { unpackFiles } from "../keep/pack.ts";
import { silentMillis } from "../protocol/ask.ts";
import { fromUTF8 } from "../protocol/bytes.ts";
import { type Checker, makeChecker } from "./check.ts";
import { type First, readFirst } from "./first.ts";
import type { FromThread, ToThread } from "./messages.ts";
import { openSession, type Session } from "./session.ts";
import { toPlainTree } from "./trees.ts";

interface Scope {
  postMessage(message: FromThread): void;
  onmessage: ((event: MessageEvent<ToThread>) => void) | null;
  readonly crypto: Crypto;
}
const scope = globalThis as unknown as Scope;

let keeping: Promise<Keep>;
let checker: Checker;
const sessions = new Map<number, Session>();
// What changes one topic's packs happens one after the other.
let writing: Promise<unknown> = Promise.resolve();
// Messages of one session are worked off in their order.
let working: Promise<void> = Promise.resolve();

/** A turn of the event loop, so that messages get through between batches. */
function pause(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}

async function open({ session, place, reading, quiet }: Extract<ToThread, { kind: "open" }>): Promise<void> {
  let keptAll = true;
  const opened = openSession(place, reading, {
    checkAll: checker.checkAll,
    checkElsewhere: checker.checkElsewhere,
    now: () => Date.now(),
    tell: (message) => scope.postMessage({ ...message, session } as FromThread),
    keepFiles: (files, all) => {
      if (quiet) return;
      writing = writing
        .then(async () => (all ? replaceFiles : addFiles)(await keeping, place, files))
        .then((kept) => (keptAll &&= kept))
        // A full disk costs the memory of this topic, and not the reading of it.
        .catch(() => {
          keptAll = false;
          scope.postMessage({ kind: "full" });
        });
    },
    keepFolder: (folder, files) => {
      if (quiet) return;
      writing = writing.then(async () => (keptAll ? changeTopic(await keeping, place, { folder, files }) : undefined)).catch(() => undefined);
    },
    pause,
  });
  sessions.set(session, opened);
  const keep = await keeping;
  const before = await keptTopic(keep, place).catch(() => undefined);
  const files = await keptFiles(keep, place).catch(() => []);
  await opened.restore(files, (before?.visited ?? 0) > 0, before?.folder ?? "", before?.files);
  if (!quiet) await changeTopic(keep, place, { visited: Date.now() }).catch(() => undefined);
}

async function look({ session, origin, body }: Extract<ToThread, { kind: "first" }>): Promise<void> {
  const opened = sessions.get(session);
  const first: First = { ids: [], folder: "" };
  const tell = (): void => scope.postMessage({ kind: "looked", session, ids: first.ids, folder: first.folder });
  if (opened === undefined) return tell();
  const timer = setTimeout(() => first.ids.length === 0 && tell(), silentMillis);
  let told = false;
  await readFirst({ origin, fetch: async (url, init) => (body === undefined ? fetch(url, init) : new Response(body)) }, opened.place, first, async (files) => {
    // Its worker is made while these are verified.
    if (!told && files.some(({ bytes }) => toPlainTree(fromUTF8(bytes) ?? "") === undefined)) {
      told = true;
      scope.postMessage({ kind: "markdown", session });
    }
    const ids = files.map(({ id, sum }) => (sum.collision ? undefined : id));
    await inTurn(() => opened.files(files.map(({ bytes }) => bytes), origin, undefined, ids));
    await pause();
    return sessions.has(session);
  });
  clearTimeout(timer);
  if (first.folder !== "") await inTurn(async () => opened.folder(first.folder));
  tell();
}

/** Does something of a session when all that was asked before is done. */
function inTurn(act: () => Promise<void>): Promise<void> {
  return (working = working.then(act).catch((error: unknown) => console.error(error)));
}

async function take(message: ToThread): Promise<void> {
  if (message.kind === "open") return open(message);
  if (message.kind === "help") return checker.help(message.port);
  if (message.kind === "helpers") return checker.addHelpers(message.ports);
  if (message.kind === "search") {
    const { search } = await import("./search.ts");
    return search(await keeping, message.words, (found, done) => scope.postMessage({ kind: "found", session: message.session, found, done }), pause);
  }
  const session = sessions.get(message.session);
  switch (message.kind) {
    case "files": return session?.files(unpackFiles(message.pack), message.server, message.list, message.ids);
    case "own": return session?.own(message.bytes, message.list);
    case "undo": return session?.undo(message.id);
    case "sent": return session?.sent(message.id);
    case "reading": return session?.read(message.reading);
    case "settle": return session?.settle();
    case "live": return session?.live();
    case "folder": return session?.folder(message.id);
    case "apply": return session?.apply();
    case "lists": {
      const { viewOf } = await import("./views.ts");
      return scope.postMessage({ kind: "lists", session: message.session, filters: (session?.filters() ?? []).map(viewOf) });
    }
    case "close":
      session?.close();
      sessions.delete(message.session);
      return undefined;
  }
}

export function readTopics(): void {
  keeping = openKeep();
  checker = makeChecker(scope.crypto.subtle as SubtleCrypto | undefined, () => scope.postMessage({ kind: "wanted" }));
  scope.onmessage = ({ data }) => {
    // What a person waits for does not wait for what the network brings.
    if (data.kind === "search" || data.kind === "help" || data.kind === "helpers") void take(data);
    else if (data.kind === "first") void look(data);
    else void inTurn(() => take(data));
  };
  scope.postMessage({ kind: "ready" });
}
