import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { utf8 } from "../../src/protocol/bytes.ts";
import { hashOfName, type Place } from "../../src/protocol/hash.ts";
import { build, community, prepare, type Served, serveFolder } from "./served.ts";
import { last, open, watch } from "./watch.ts";

const place: Place = { community, topic: hashOfName("large") };
const count = 20_000;
const size = 3000;
/** What may be held beyond what was before, once nothing is needed any more: names and nodes, and what is on its way. */
const maxHeld = 48 << 20;

let server: Served;

beforeAll(async () => {
  build();
  function* bodies(): Generator<Uint8Array> {
    for (let i = 0; i < count; i++) yield utf8(`comment ${i} `.padEnd(size, "x"));
  }
  server = await serveFolder(prepare(place, bodies()));
}, 300_000);

// Their files go one by one.
afterAll(() => server.stop(), 60_000);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function held(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

test("20,000 comments of 60 MB pass through little memory", { timeout: 120_000 }, async () => {
  let folders = 0;
  const net = open(
    { servers: [server.origin] },
    {
      fetch(url, init) {
        if (new Headers(init.headers).get("Accept")?.includes("ipld.car") === true) folders++;
        return fetch(url, init);
      },
    },
  );
  const seen = watch(false);
  const before = held();
  let most = 0;
  let next = 5000;
  const reader = net.read(place, new Set(), {
    ...seen,
    files(files) {
      // Checked by the sums of their sizes alone: hashes of 60 MB are another test's.
      seen.bytes += files.reduce((sum, { bytes }) => sum + bytes.length, 0);
      for (const { id } of files) seen.bodies.set(id, "");
      if (seen.bodies.size < next) return;
      next += 5000;
      most = Math.max(most, held() - before);
    },
  });
  await seen.until("all", ({ states }) => last(states) === "live");
  expect(seen.bodies.size).toBe(count);
  expect(seen.bytes).toBe(count * size);
  expect(seen.totals).toEqual([count]);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(maxHeld);
  expect(held() - before).toBeLessThan(maxHeld);
  // As a folder it is one request.
  expect(folders).toBe(1);
  reader.close();
  net.close();
});
