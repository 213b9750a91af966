// A community's newest active topics, as servers list them. A name counts if its hash is the topic; how many comments
// a topic has, and when the last one came, is the servers' word.

import { fromUTF8 } from "../protocol/bytes.ts";
import { accepted, ask, readBody } from "../protocol/client.ts";
import { fieldsOf, readFields } from "../protocol/fields.ts";
import { type Hash, hashOfName, parseHash } from "../protocol/hash.ts";
import { must } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import { isDate } from "../protocol/document.ts";
import { within } from "./deadline.ts";
import type { ActiveTopic } from "./net.ts";
import type { Servers } from "./servers.ts";

/** The list of one server: 200 topics, each with a name of 4 KiB at most, which may be escaped. */
export const maxTopics = 200;
export const maxTopicsAnswer = 2 << 20;
/** Servers asked, and how long they are waited for. */
const askedServers = 2;
const topicsMillis = 10_000;
/** Where no server works yet, one is waited for so long. */
const serverMillis = 20_000;

export async function activeTopics(servers: Servers, community: Hash, signal: AbortSignal): Promise<readonly ActiveTopic[]> {
  servers.want(community);
  await servers.first(community, serverMillis, signal);
  const lists = await Promise.all(
    servers
      .peers(community)
      .slice(0, askedServers)
      .map(async (peer) => {
        const began = Date.now();
        try {
          const list = await within(signal, topicsMillis, async (limit) => {
            const response = await ask(peer.line.server, `${community}/topics`, { headers: { Accept: "application/json" }, signal: limit });
            return parseTopics(await readBody(await accepted(response), maxTopicsAnswer));
          });
          servers.good(peer, Date.now() - began);
          return list;
        } catch (error) {
          // An older server has no such list.
          if (!signal.aborted && !(error instanceof Problem && error.status === 404)) servers.failed(peer, error);
          return [];
        }
      }),
  );
  const byTopic = new Map<Hash, ActiveTopic>();
  for (const topic of lists.flat()) {
    const other = byTopic.get(topic.topic);
    if (other === undefined || topic.comments > other.comments) byTopic.set(topic.topic, topic);
  }
  return [...byTopic.values()].sort((a, b) => (b.last ?? 0) - (a.last ?? 0)).slice(0, maxTopics);
}

export function parseTopics(answer: Uint8Array): ActiveTopic[] {
  const { topics: list } = readFields(fromUTF8(answer));
  must(Array.isArray(list), "a list of topics");
  return list.slice(0, maxTopics).flatMap((each: unknown) => {
    const { topic, name, comments, last } = fieldsOf(each);
    const id = parseHash(String(topic));
    // Topics without a name are not listed: their authors left it out.
    if (id === undefined || typeof name !== "string" || hashOfName(name) !== id) return [];
    const count = typeof comments === "number" && Number.isSafeInteger(comments) && comments >= 0 ? comments : 0;
    return [{ topic: id, name, comments: count, last: typeof last === "string" && isDate(last) ? Date.parse(last) : undefined }];
  });
}
