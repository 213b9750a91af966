// The IPFS network, asked when no server answers: a line to it, as to a server that knows the ids of some folders and
// gives blocks. The node itself is in a worker (workers/peer.ts) that comes when it is wanted; its failure costs nothing.

import { fromUTF8 } from "../protocol/bytes.ts";
import { type Place, placeText } from "../protocol/hash.ts";
import type { FromPeer, ToPeer } from "../workers/messages.ts";
import { until } from "./deadline.ts";
import type { IPFSView } from "./net.ts";
import type { Giver } from "./servers.ts";

export interface IPFS {
  /** Starts the node, or ends it and starts it no more until it is to be used again. */
  use(on: boolean): void;
  /** id: the newest folder that a server named of the topic. */
  line(topic: Place, id: string | undefined): Giver["line"];
  view(): IPFSView | undefined;
}

type Answer = Partial<Extract<FromPeer, { n: number }>>;

/** folders: of ?folder=, each <community>/<topic>/<id>. nodes: multiaddrs of servers' nodes. */
export function createIPFS(start: () => Worker, folders: readonly string[], nodes: () => readonly string[], changed: () => void): IPFS {
  let worker: Worker | undefined;
  let isOff = false;
  let questions = 0;
  let view: IPFSView | undefined;
  const waiting = new Map<number, (answer: Answer) => void>();

  function use(on: boolean): void {
    isOff = !on;
    if (isOff) {
      worker?.terminate();
      // Who waits for an answer has a time for that.
      worker = view = undefined;
    } else if (worker === undefined) {
      worker = start();
      worker.onerror = () => use(false);
      worker.onmessage = ({ data }: MessageEvent<FromPeer>) => {
        if ("view" in data) {
          view = data.view;
          return changed();
        }
        waiting.get(data.n)?.(data);
        waiting.delete(data.n);
      };
    }
    changed();
  }

  function ask(topic: string, root?: string, cids: readonly string[] = []): Promise<Answer> {
    if (worker === undefined && !isOff) use(true);
    return new Promise((resolve) => {
      if (worker === undefined) return resolve({});
      waiting.set(++questions, resolve);
      worker.postMessage({ n: questions, topic, cids, nodes: nodes(), ...(root === undefined ? {} : { root }) } satisfies ToPeer);
    });
  }

  return {
    use,
    line(place, named) {
      const topic = placeText(place);
      let id = named ?? folders.find((text) => text.startsWith(`${topic}/`))?.slice(topic.length + 1);
      const answer = async (path: string, body: unknown): Promise<BodyInit | undefined> => {
        if (path === "/blocks" && id !== undefined) return (await ask(topic, id, (fromUTF8(body as Uint8Array) ?? "").split("\n"))).car;
        if (path !== `/${topic}`) return undefined;
        id ??= (await ask(topic)).id;
        return id ? `${id}\n` : undefined;
      };
      const fetch = async (path: string, { body, signal }: RequestInit): Promise<Response> => {
        const found = await until(signal as AbortSignal, answer(path, body));
        return new Response(found ?? null, { status: found === undefined ? 404 : 200 });
      };
      return { carrier: "ipfs", server: { origin: "", fetch } };
    },
    view: () => view,
  };
}
