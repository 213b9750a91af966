// Who checks signatures: the worker itself, helpers, and what becomes of what a helper never answers.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fromHex } from "../src/protocol/bytes.ts";
import { probes } from "../src/protocol/verifier.ts";
import { makeChecker } from "../src/workers/check.ts";
import type { Claim } from "../src/workers/messages.ts";

const [key, message] = [fromHex(probes.key), fromHex(probes.message)];
const claims: Claim[] = probes.cases.map(([signature]) => ({ key, message, signature: fromHex(signature) }));
const valid = probes.cases.map(([, verdict]) => verdict);

const ports: MessagePort[] = [];
function channel(): MessageChannel {
  const made = new MessageChannel();
  ports.push(made.port1, made.port2);
  return made;
}
beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
  vi.useRealTimers();
});

test("a helper's verdicts are those of the worker itself", async () => {
  const helper = makeChecker(undefined, () => undefined);
  const called = vi.fn();
  const checker = makeChecker(undefined, called);
  expect(checker.checkElsewhere(claims)).toBeUndefined();
  const { port1, port2 } = channel();
  helper.help(port1);
  checker.addHelpers([port2]);
  expect(await checker.checkElsewhere(claims)).toEqual(valid);
  expect(await checker.checkAll([...claims, ...claims])).toEqual([...valid, ...valid]);
  expect(called).toHaveBeenCalledTimes(1);
});

test("what helpers have to do is bounded", async () => {
  const checker = makeChecker(undefined, () => undefined);
  checker.addHelpers([channel().port2, channel().port2]);
  const asked = Array.from({ length: 12 }, () => checker.checkElsewhere(claims));
  expect(asked.filter((each) => each !== undefined).length).toBe(8);
});

test("what a helper does not answer is checked here, and it is asked nothing more", async () => {
  const checker = makeChecker(undefined, () => undefined);
  checker.addHelpers([channel().port2]);
  const asked = [checker.checkElsewhere(claims), checker.checkElsewhere(claims), checker.checkAll(claims)];
  // The last asks once it knows of the browser.
  await vi.waitFor(() => expect(vi.getTimerCount()).toBe(3));
  vi.advanceTimersByTime(10_000);
  expect(await Promise.all(asked)).toEqual([valid, valid, valid]);
  expect(checker.checkElsewhere(claims)).toBeUndefined();
  expect(await checker.checkAll(claims)).toEqual(valid);
});
