import { describe, expect, test } from "vitest";
import { concat, utf8, varint } from "../src/protocol/bytes.ts";
import { type Block, carHeader } from "../src/protocol/car.ts";
import { cidBytes, cidText } from "../src/protocol/cid.ts";
import { hashOfName } from "../src/protocol/hash.ts";
import { leafOf, makeFolder } from "../src/protocol/make.ts";
import { type First, type FirstBounds, firstBounds, readFirst } from "../src/workers/first.ts";

const place = { community: hashOfName("reddit"), topic: hashOfName("first") };
const bodies = Array.from({ length: 150 }, (_, i) => utf8(`comment ${i}`));

const leaves = bodies.map((bytes) => leafOf(bytes, 1)).sort((a, b) => (a.entry.name < b.entry.name ? -1 : 1));
const nodes: Block[] = [];
const { cid: root } = makeFolder(leaves.map(({ entry }) => entry), 1, (block) => nodes.push(block));
const section = ({ cid, bytes }: Block): Uint8Array => concat([Uint8Array.from(varint(cidBytes(cid).length + bytes.length)), cidBytes(cid), bytes]);
const header = carHeader(root);
const whole = [concat([Uint8Array.from(varint(header.length)), header]), ...[...nodes, ...leaves.map(({ block }) => block)].map(section)];

/** Reads what a server answers; enough: the batches that are taken. */
async function read(answer: (signal: AbortSignal) => Response | Promise<Response>, bound: Partial<FirstBounds> = {}, enough = Number.POSITIVE_INFINITY): Promise<First & { files: number; asked: string[] }> {
  const first: First = { ids: [], folder: "" };
  const asked: string[] = [];
  let files = 0;
  let batches = 0;
  const server = {
    origin: "http://192.0.2.1:4080",
    fetch: async (url: string, { signal }: RequestInit): Promise<Response> => {
      asked.push(url);
      return answer(signal as AbortSignal);
    },
  };
  await readFirst(server, place, first, async (batch) => {
    files += batch.length;
    return ++batches < enough;
  }, { ...firstBounds, ...bound });
  return { ...first, files, asked };
}

const answer = (chunks: readonly Uint8Array[]) => (): Response => new Response(concat(chunks));

describe("the first look", () => {
  test("brings a whole folder, and says which one it is", async () => {
    const { ids, folder, files, asked } = await read(answer(whole));
    expect(new Set(ids)).toEqual(new Set(leaves.map(({ entry }) => entry.name)));
    expect(files).toBe(bodies.length);
    expect(folder).toBe(cidText(root));
    expect(asked).toEqual([`http://192.0.2.1:4080/${place.community}/${place.topic}`]);
  });

  test("keeps what came before a lie or a break, and calls it no folder", async () => {
    const lie = [...whole.slice(0, 100), ...whole.slice(101)];
    for (const chunks of [lie, whole.slice(0, 100)]) {
      const { ids, folder, files } = await read(answer(chunks));
      expect([ids.length, files, folder]).toEqual([98, 98, ""]);
    }
  });

  test.each([404, 429, 451, 503])("has nothing of a server that answers %i", async (status) => {
    expect(await read(() => new Response("no", { status }))).toMatchObject({ ids: [], folder: "", files: 0 });
  });

  test("has nothing of a server that is not there", async () => {
    expect(await read(() => Promise.reject(new TypeError("fetch failed")))).toMatchObject({ ids: [], folder: "" });
  });

  test("ends at its bounds, and where nobody listens any more", async () => {
    expect(await read(answer(whole), { files: 70 })).toMatchObject({ folder: "", files: 70 });
    expect((await read(answer(whole), { bytes: 1000 })).files).toBeLessThan(100);
    expect((await read(answer(whole), {}, 1)).files).toBeLessThan(150);
  });

  test("does not wait for who falls silent", async () => {
    const silent = (signal: AbortSignal): Response => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const chunk of whole.slice(0, 50)) controller.enqueue(chunk);
          signal.addEventListener("abort", () => controller.error(signal.reason));
        },
      });
      return new Response(body);
    };
    // Nor for who goes on for ever.
    const slow = (signal: AbortSignal): Response => {
      let at = 0;
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (signal.aborted) controller.error(signal.reason);
          else controller.enqueue(whole[at++] as Uint8Array);
        },
      });
      return new Response(body);
    };
    expect(await read(slow, { millis: 300 })).toMatchObject({ folder: "" });
    expect(await read(silent, { millis: 300 })).toMatchObject({ folder: "", files: 48 });
  });
});
