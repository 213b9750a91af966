// A Net over HTTP alone: the servers of config.json, of ?server= and the one that the page came from.

import type { Config } from "../config.ts";
import { cidText } from "../protocol/cid.ts";
import { getComment, getEvents, getFolder, getHello, postDocument, type Server } from "../protocol/client.ts";
import type { Hash, Place } from "../protocol/hash.ts";
import { canonicalOrigin } from "../protocol/hello.ts";
import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import type { ActiveTopic, File, FoundBy, Net, PostOutcome, ServerView, TopicReader, TopicSink } from "./net.ts";

const askMillis = 15_000;
const retryMillis = 5_000;
/** Files that are handed on at once. */
const batch = 256;

type Known = { -readonly [name in keyof ServerView]: ServerView[name] } & { readonly server: Server };

export function createHttpNet(config: Config, own: string, typed: readonly string[]): Net {
  const known: Known[] = [];
  const listeners = new Set<() => void>();
  let scheduled = false;
  const changed = (): void => {
    if (scheduled) return;
    scheduled = true;
    setTimeout(() => {
      scheduled = false;
      for (const listener of listeners) listener();
    }, 16);
  };

  function enter(origin: string, foundBy: FoundBy): Known {
    const there = known.find(({ server }) => server.origin === origin);
    if (there !== undefined) return there;
    const entry: Known = {
      id: origin, origin, foundBy, carrier: "http", state: "asking", answered: undefined, took: undefined, reason: undefined, contact: "",
      limits: undefined, server: { origin, fetch: (url, init) => fetch(url, init) },
    };
    known.push(entry);
    changed();
    return entry;
  }

  async function prove(entry: Known): Promise<void> {
    const start = Date.now();
    try {
      const hello = await getHello(entry.server, entry.foundBy === "typed" || entry.foundBy === "host", AbortSignal.timeout(askMillis));
      const { maxSize, work, newWork } = hello.limits as typeof hello.limits & { work?: number; newWork?: number };
      Object.assign(entry, {
        id: hello.key, state: "working", answered: Date.now(), took: Date.now() - start, reason: undefined, contact: hello.contact,
        limits: { maxSize, work: work ?? 0, newWork: newWork ?? 0 },
      });
    } catch (error) {
      fail(entry, error);
    }
    changed();
  }

  function fail(entry: Known, error: unknown): void {
    entry.state = error instanceof Lie ? "lied" : "failed";
    entry.reason = {
      code: error instanceof Lie ? "lied" : error instanceof Problem ? error.code : (error as Error).name === "TimeoutError" ? "timeout" : "unreachable",
      detail: error instanceof Error ? error.message : "",
    };
    changed();
  }

  for (const origin of typed) {
    const canonical = canonicalOrigin(origin);
    if (canonical !== undefined) enter(canonical, "typed");
  }
  for (const origin of config.servers) {
    const canonical = canonicalOrigin(origin === "." ? own : origin);
    if (canonical !== undefined) enter(canonical, origin === "." ? "host" : "config");
  }
  let proving = Promise.all(known.map(prove));

  return {
    servers: () => known,
    changed(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    read: (place, held, sink) => read(known, place, held, sink, fail, changed),
    async post(place, bytes, want, told, signal) {
      await proving;
      let left = want;
      for (const entry of known) {
        if (left === 0) return;
        try {
          const created = await postDocument(entry.server, place, bytes, AbortSignal.any([signal, AbortSignal.timeout(askMillis)]));
          left--;
          told({ ok: true, created, server: entry.id });
        } catch (error) {
          if (signal.aborted) throw error;
          told(refused(entry, error));
        }
      }
    },
    async active(community, signal) {
      const lists = await Promise.all(known.map(({ server }) => activeOf(server, community, signal).catch(() => [])));
      const best = new Map<Hash, ActiveTopic>();
      for (const topic of lists.flat()) {
        if (topic.comments > (best.get(topic.topic)?.comments ?? -1)) best.set(topic.topic, topic);
      }
      return [...best.values()].sort((a, b) => (b.last ?? 0) - (a.last ?? 0));
    },
    async add(origin) {
      const canonical = canonicalOrigin(origin);
      if (canonical === undefined) throw new TypeError("no origin");
      const entry = enter(canonical, "typed");
      const proof = prove(entry);
      proving = Promise.all([proving, proof]).then(([all]) => all);
      await proof;
      return entry;
    },
    close: () => listeners.clear(),
  };
}

function refused(entry: Known, error: unknown): PostOutcome {
  const problem = error instanceof Problem ? error : undefined;
  return {
    ok: false, server: entry.id, code: problem?.code ?? "unreachable", detail: error instanceof Error ? error.message : "",
    retryAfter: problem?.retryAfter ?? 0, work: Number(/\b(\d+) bits/.exec(problem?.message ?? "")?.[1] ?? 0),
  };
}

async function activeOf({ origin, fetch }: Server, community: Hash, signal: AbortSignal): Promise<ActiveTopic[]> {
  const response = await fetch(`${origin}/${community}/topics`, { signal });
  if (!response.ok) return [];
  const answer = (await response.json()) as { topics?: { id: Hash; name?: string; comments: number; last?: string }[] };
  return (answer.topics ?? []).slice(0, 200).map(({ id, name = "", comments, last }) => ({
    topic: id, name, comments, last: last === undefined ? undefined : Date.parse(last),
  }));
}

function read(
  known: readonly Known[],
  place: Place,
  held: ReadonlySet<Hash>,
  sink: TopicSink,
  fail: (entry: Known, error: unknown) => void,
  changed: () => void,
): TopicReader {
  let stop = new AbortController();
  const seen = new Set<Hash>(held);
  const roots = new Map<Known, string>();

  function agree(): void {
    const counts = new Map<string, number>();
    for (const root of roots.values()) counts.set(root, (counts.get(root) ?? 0) + 1);
    sink.agreement(Math.max(0, ...counts.values()), roots.size);
  }

  async function folder(entry: Known, signal: AbortSignal): Promise<boolean> {
    const start = Date.now();
    const found = await getFolder(entry.server, place, signal);
    roots.set(entry, found === undefined ? "" : cidText(found.root));
    let files: File[] = [];
    let count = 0;
    for await (const { id, bytes } of found?.comments ?? []) {
      count++;
      if (seen.has(id)) continue;
      seen.add(id);
      files.push({ id, bytes });
      if (files.length < batch) continue;
      sink.files(files, entry.id);
      files = [];
    }
    if (stop.signal.aborted) return false;
    if (files.length > 0) sink.files(files, entry.id);
    Object.assign(entry, { state: "working", answered: Date.now(), took: Date.now() - start, reason: undefined });
    changed();
    agree();
    return count > 0;
  }

  async function follow(entry: Known, signal: AbortSignal): Promise<void> {
    let since: string | undefined;
    while (!signal.aborted) {
      try {
        for await (const event of await getEvents(entry.server, place.community, place.topic, since, signal)) {
          since = event.id ?? since;
          if (event.kind === "reset") await folder(entry, signal);
          if (event.kind !== "comment" || event.topic !== place.topic || seen.has(event.comment)) continue;
          seen.add(event.comment);
          sink.files([{ id: event.comment, bytes: await getComment(entry.server, place, event.comment, signal) }], entry.id);
        }
      } catch (error) {
        if (signal.aborted) return;
        fail(entry, error);
      }
      await new Promise((resolve) => setTimeout(resolve, retryMillis));
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    sink.state("searching");
    while (!signal.aborted) {
      const got = await Promise.all(
        known.map(async (entry) => {
          try {
            const some = await folder(entry, signal);
            return some ? "some" : "none";
          } catch (error) {
            if (!signal.aborted) fail(entry, error);
            return "failed";
          }
        }),
      );
      if (signal.aborted) return;
      if (got.some((each) => each !== "failed")) {
        sink.state(got.includes("some") || held.size > 0 ? "live" : "empty");
        known.forEach((entry, i) => {
          if (got[i] !== "failed") void follow(entry, signal);
        });
        return;
      }
      sink.state("unreachable");
      await new Promise((resolve) => setTimeout(resolve, retryMillis));
    }
  }

  void run(stop.signal);
  return {
    close: () => stop.abort(),
    retry() {
      stop.abort();
      stop = new AbortController();
      void run(stop.signal);
    },
  };
}
