// The client's side of HTTP: SPEC.md, section 4. Nothing that a server answers is taken for longer than its bound, and
// nothing is handed on unchecked. How long to wait is the caller's: each call takes an AbortSignal.

import { ask, chunksOf, type Server } from "./ask.ts";
import { concat, fromUTF8, toHex, utf8 } from "./bytes.ts";
import { type Block, openCar } from "./car.ts";
import { type Cid, cidText, equalCids } from "./cid.ts";
import { parseCid } from "./cidtext.ts";
import { maxDocument } from "./document.ts";
import { type ServerEvent, readEvents } from "./events.ts";
import { type Folder, openFolder } from "./folder.ts";
import { type Hash, hashOf, type Place, placeText } from "./hash.ts";
import { type Hello, maxHello, openHello } from "./hello.ts";
import { Lie, must } from "./lie.ts";
import { maxProblem, parseProblem } from "./problem.ts";
import type { Verifier } from "./verifier.ts";

export { ask, chunksOf, type Fetch, type Server } from "./ask.ts";

/** An id, or a comment's SHA-1, as an answer. */
export const maxIdAnswer = 256;
/** CIDs asked for at once, and the blocks that an answer has at most. */
export const maxAsked = 512;
export const maxBlocks = 4 << 20;

const carType = "application/vnd.ipld.car";

/** The id of a topic's folder; of the community's, without a topic. Undefined if there is no such topic yet. */
export async function getId(server: Server, community: Hash, topic: Hash | undefined, signal: AbortSignal): Promise<Cid | undefined> {
  const path = topic === undefined ? community : placeText({ community, topic });
  const response = await ask(server, path, { headers: { Accept: "text/plain" }, signal });
  if (await isUnknown(response)) return undefined;
  const id = parseCid(await readLine(response));
  must(id !== undefined, "an id");
  return id;
}

/** A topic's folder, whole and as it is now. Undefined if there is no such topic yet. */
export async function getFolder(server: Server, place: Place, signal: AbortSignal): Promise<Folder | undefined> {
  const response = await ask(server, placeText(place), { headers: { Accept: carType }, signal });
  if (await isUnknown(response)) return undefined;
  return openFolder(chunksOf(await accepted(response)));
}

/** A comment's bytes: those of its name, which parseDocument has still to judge. */
export async function getComment(server: Server, place: Place, id: Hash, signal: AbortSignal): Promise<Uint8Array> {
  const response = await accepted(await ask(server, `${placeText(place)}/${id}`, { signal }));
  const bytes = await readBody(response, maxDocument);
  must(hashOf(bytes) === id, "a comment's name");
  return bytes;
}

/** Posts a document. When this returns it is on that server's disk for good; true if it was not there before. */
export async function postDocument(server: Server, place: Place, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
  const body = Uint8Array.from(bytes);
  const response = await accepted(await ask(server, placeText(place), { method: "POST", body, signal }));
  must((await readLine(response)) === hashOf(bytes), "a comment's name");
  return response.status === 201;
}

/** Those of some blocks that a server holds and that fit into one answer. At most maxAsked can be asked for. */
export async function getBlocks(server: Server, cids: readonly Cid[], signal: AbortSignal): Promise<Block[]> {
  const [first] = cids;
  if (first === undefined) return [];
  if (cids.length > maxAsked) throw new RangeError(`${cids.length} blocks asked for at once; ${maxAsked} is the limit`);
  const asked = new Set(cids.map(cidText));
  const body = utf8([...asked].join("\n"));
  const response = await accepted(await ask(server, "blocks", { method: "POST", body, signal }));
  const { root, blocks } = await openCar(chunksOf(response), maxBlocks);
  must(equalCids(root, first), "a CAR of other blocks");
  const got: Block[] = [];
  for await (const block of blocks) {
    // Each once: a server that sends more would fill this program's memory.
    must(asked.delete(cidText(block.cid)), "a block that was not asked for, or that came twice");
    got.push(block);
  }
  return got;
}

/** What is added to a topic, or to all of a community, from now on or after an id. */
export async function getEvents(
  server: Server,
  community: Hash,
  topic: Hash | undefined,
  since: string | undefined,
  signal: AbortSignal,
): Promise<AsyncGenerator<ServerEvent>> {
  const query = topic === undefined ? "" : `?topic=${topic}`;
  const headers: Record<string, string> = since === undefined ? {} : { "Last-Event-ID": since };
  const response = await accepted(await ask(server, `${community}/events${query}`, { headers: { Accept: "text/event-stream", ...headers }, signal }));
  return readEvents(chunksOf(response));
}

/** A server's proof of what it is. named: a person named the address, so its origin may be another. */
export async function getHello(server: Server, named: boolean, signal: AbortSignal, verifier?: Verifier): Promise<Hello> {
  const nonce = toHex(crypto.getRandomValues(new Uint8Array(32)));
  const response = await accepted(await ask(server, `.well-known/comntr.json?nonce=${nonce}`, { signal }));
  const answer = await readBody(response, maxHello);
  return openHello(answer, { nonce, now: Date.now(), ...(named ? {} : { origin: server.origin }) }, verifier);
}

/** The response, if it is no refusal. */
export async function accepted(response: Response): Promise<Response> {
  if (response.ok) return response;
  // A refusal that cannot be read is one all the same.
  const body = await readBody(response, maxProblem).catch(() => new Uint8Array(0));
  throw parseProblem(response.status, body, response.headers.get("Retry-After"));
}

async function isUnknown(response: Response): Promise<boolean> {
  if (response.status !== 404) return false;
  await response.body?.cancel();
  return true;
}

/** A body of one line. */
async function readLine(response: Response): Promise<string> {
  const text = fromUTF8(await readBody(await accepted(response), maxIdAnswer));
  must(text?.endsWith("\n") === true, "an answer of one line");
  return text.slice(0, -1);
}

/** A body of at most so many bytes. */
export async function readBody(response: Response, max: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of chunksOf(response)) {
    total += chunk.length;
    if (total > max) throw new Lie(`an answer of more than ${max} bytes`);
    parts.push(chunk);
  }
  return concat(parts);
}
