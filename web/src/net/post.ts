// Posting: to several servers at once, so that one that goes away takes nothing with it.

import { postDocument } from "../protocol/client.ts";
import type { Place } from "../protocol/hash.ts";
import { Lie } from "../protocol/lie.ts";
import { Problem } from "../protocol/problem.ts";
import { within } from "./deadline.ts";
import type { PostOutcome } from "./net.ts";
import { reasonOf } from "./reasons.ts";
import type { Peer, Servers } from "./servers.ts";

/** A whole document there, and the answer back. */
const postMillis = 30_000;
/** Where no server works yet, one is waited for so long. */
const serverMillis = 20_000;
/** Servers tried for each copy, once one has it. Until then each is: what one says of the document is not what all do. */
export const triesEach = 3;

export async function post(
  servers: Servers,
  place: Place,
  bytes: Uint8Array,
  want: number,
  told: (outcome: PostOutcome) => void,
  signal: AbortSignal,
): Promise<void> {
  servers.want(place.community);
  const tried = new Set<string>();
  let isSaved = false;
  // Where there are several networks, copies go to several.
  const next = (): Peer | undefined => {
    const peers = servers.peers(place.community).filter(({ key }) => !tried.has(key));
    return peers.find(({ network }) => !networks.has(network)) ?? peers[0];
  };
  const networks = new Set<string>();
  await servers.first(place.community, serverMillis, signal);

  const one = async (): Promise<void> => {
    while (!signal.aborted && (!isSaved || tried.size < want * triesEach)) {
      const peer = next();
      if (peer === undefined) return;
      tried.add(peer.key);
      networks.add(peer.network);
      const outcome = await send(servers, peer, place, bytes, signal);
      told(outcome);
      if (outcome.ok) return void (isSaved = true);
      networks.delete(peer.network);
    }
  };
  await Promise.all(Array.from({ length: want }, one));
  if (tried.size === 0) told(failure("", signal.aborted ? "stopped" : "no-server", ""));
}

function failure(server: string, code: string, detail: string, retryAfter = 0, work = 0): PostOutcome {
  return { ok: false, server, code, detail, retryAfter, work };
}

async function send(servers: Servers, asked: Peer, place: Place, bytes: Uint8Array, signal: AbortSignal): Promise<PostOutcome> {
  const began = Date.now();
  let peer = asked;
  for (let again = 1; ; again--) {
    try {
      const created = await within(signal, postMillis, (limit) => postDocument(peer.line.server, place, bytes, limit));
      servers.good(peer, Date.now() - began);
      return { ok: true, created, server: peer.key };
    } catch (error) {
      if (signal.aborted) return failure(peer.key, "stopped", "");
      if (error instanceof Problem) {
        // That it takes nothing more, or none of this, is no reason not to read there.
        if (error.status === 429 || error.status === 503) servers.failed(peer, error);
        else if (error.status >= 500) servers.remark(peer, reasonOf(error));
        return failure(peer.key, error.code, error.message, error.retryAfter, error.work);
      }
      // A connection that broke leaves open whether it was stored: posting once more is harmless and says. It may have
      // been given up for a better way to the same server.
      const other = peer.gone.aborted ? servers.peers(place.community).find(({ key }) => key === asked.key) : error instanceof TypeError ? peer : undefined;
      if (again > 0 && other !== undefined) {
        peer = other;
        continue;
      }
      servers.failed(peer, error);
      const { code, detail } = reasonOf(error);
      return failure(peer.key, error instanceof Lie ? "lied" : code, detail);
    }
  }
}
