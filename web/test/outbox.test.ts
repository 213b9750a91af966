// What waits for a server: where it is shown meanwhile, in what order it goes, and what is taken back.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { maxWaiting } from "../src/keep/writing.ts";
import { type Draft, signDraft } from "../src/protocol/build.ts";
import { toHex } from "../src/protocol/bytes.ts";
import { type Document, maxDocument } from "../src/protocol/document.ts";
import { type Hash, hashOfName, type Place } from "../src/protocol/hash.ts";
import { publicKey } from "../src/protocol/signature.ts";
import type { PostOutcome, ServerView } from "../src/net/net.ts";
import { signal } from "../src/state/signals.ts";
import type { Topic } from "../src/state/topic.ts";

const posted: string[] = [];
/** What a server answers; nobody does. */
let answer: PostOutcome | undefined;
/** What other servers answer before it. */
let before: PostOutcome[] = [];
const online = signal(true);
const working = signal(0);
vi.mock("../src/state/page.ts", async () => {
  const { memoryKeep } = await import("../src/keep/keep.ts");
  return {
    keeping: Promise.resolve(memoryKeep()), servers: signal([]), online, working, tell: vi.fn(),
    startNet: async () => ({
      async post(_place: Place, bytes: Uint8Array, _wanted: number, told: (outcome: PostOutcome) => void) {
        if (answer === undefined) return;
        posted.push(new TextDecoder().decode(bytes));
        for (const outcome of [...before, answer]) told(outcome);
      },
    }),
  };
});
vi.mock("../src/ui/app.tsx", () => ({ current }));
vi.mock("../src/state/me.ts", () => ({ lists, people: signal([me]), me: signal(me), activeKey: signal("") }));
vi.mock("../src/workers/working.ts", () => ({ payWork: async (_: unknown, tell: (tried: number) => void) => (tell(1), "1") }));
vi.stubGlobal("navigator", {});
const current = signal<unknown>(undefined);
const lists = signal<readonly { place: Place }[]>([]);

const seed = new Uint8Array(32).fill(1);
const me = { key: toHex(publicKey(seed)), kept: { seed, name: "", made: 0, saved: true } };

const { keeping, servers } = await import("../src/state/page.ts");
const { outbox, post, sendWaiting, showIn, takeBack } = await import("../src/state/outbox.ts");

const { tooLong } = await import("../src/state/write.ts");

const place = (name: string): Place => ({ community: hashOfName("reddit"), topic: hashOfName(name) });
let at = 0;
function item(name: string, where: Place) {
  return { id: hashOfName(name), place: where, bytes: new TextEncoder().encode(name), at: ++at, due: 0 };
}
const view = () => ({ own: vi.fn(), undo: vi.fn(), sent: vi.fn() });
const shownBy = ({ own }: ReturnType<typeof view>): string[] => own.mock.calls.map(([bytes]) => new TextDecoder().decode(bytes));
const never = new AbortController().signal;
const saved = { ok: true } as PostOutcome;
const refusal = (code: string, work = 0): PostOutcome => ({ ok: false, server: "", code, detail: "no", work, retryAfter: 0 });
const refused = refusal("denied");

beforeEach(async () => {
  answer = saved;
  before = [];
  await sendWaiting();
  expect(outbox.value).toEqual([]);
  answer = undefined;
  before = [];
  posted.length = 0;
});

describe("what waits", () => {
  test("is shown where it belongs, also by who comes later, and goes out in its order", async () => {
    const [list, other, late] = [view(), view(), view()];
    const stop = showIn(place("list"), list);
    showIn(place("other"), other);
    const told = vi.fn();
    expect(await post(item("first", place("list")), told, never)).toBe(true);
    expect(told).toHaveBeenLastCalledWith({ at: "waits" });
    expect(await post(item("second", place("list")), told, never)).toBe(true);
    showIn(place("list"), late);
    expect([shownBy(list), shownBy(other), shownBy(late)]).toEqual([["first", "second"], [], ["first", "second"]]);
    expect(list.own).toHaveBeenCalledWith(expect.anything(), place("list"));
    answer = saved;
    await sendWaiting();
    expect(posted).toEqual(["first", "second"]);
    expect(told).toHaveBeenLastCalledWith({ at: "saved", servers: 1, done: true });
    expect(list.sent.mock.calls).toEqual([[hashOfName("first")], [hashOfName("second")]]);
    expect(list.undo).not.toHaveBeenCalled();
    stop();
    await post(item("third", place("list")), told, never);
    expect([shownBy(list).length, shownBy(late).length]).toEqual([2, 3]);
  });

  test("on a list that is used is shown in the topic that is read", async () => {
    const topic = { ...view(), place: place("topic"), going: signal(new Map<Hash, number>()) };
    current.value = topic;
    await post(item("an act", place("mods")), () => undefined, never);
    expect(topic.own).not.toHaveBeenCalled();
    lists.value = [{ place: place("mods") }];
    expect(topic.own).toHaveBeenCalledWith(new TextEncoder().encode("an act"), place("mods"));
    await takeBack(hashOfName("an act"));
    expect(topic.undo).toHaveBeenCalledWith(hashOfName("an act"));
    current.value = undefined;
    lists.value = [];
  });

  test("is taken back where it was shown, and so is what is refused", async () => {
    const list = view();
    showIn(place("list"), list);
    await post(item("regretted", place("list")), () => undefined, never);
    await takeBack(hashOfName("regretted"));
    answer = refused;
    const told = vi.fn();
    expect(await post(item("unwanted", place("list")), told, never)).toBe(false);
    expect(told).toHaveBeenLastCalledWith({ at: "failed", code: "denied", detail: "no", retryAfter: 0 });
    expect(list.undo.mock.calls).toEqual([[hashOfName("regretted")], [hashOfName("unwanted")]]);
    expect(list.sent).not.toHaveBeenCalled();
    expect(outbox.value).toEqual([]);
  });

  test.each([
    ["the reason that most give", ["bad-signature", "gone", "unreachable", "gone"], { at: "failed", code: "gone" }],
    ["not for good as long as one may take it later", ["gone", "gone", "busy"], { at: "failed", code: "busy" }],
    ["what those say that were reached", ["timeout", "unreachable", "denied"], { at: "failed", code: "denied" }],
    ["nothing where nobody was", ["timeout", "unreachable", "broke"], { at: "waits" }],
  ])("refusals: %s", async (_, codes, state) => {
    before = codes.map((code) => refusal(code));
    answer = before.pop();
    const told = vi.fn();
    await post(item(codes.join(), place("list")), told, never);
    expect(told).toHaveBeenLastCalledWith(expect.objectContaining(state));
  });

  test("work that is too much is no reason not to pay another server's", async () => {
    const draft: Draft = { place: place("list"), date: new Date(0), body: "fair" };
    const { id, bytes } = signDraft(draft, seed) as Document;
    before = [refusal("work-needed", 256)];
    answer = refusal("work-needed", 1);
    const told = vi.fn((state: { at: string }) => {
      if (state.at === "working") answer = saved;
    });
    expect(await post({ ...item("", place("list")), id, bytes, draft, key: me.key }, told, never)).toBe(true);
    expect(told).toHaveBeenLastCalledWith({ at: "saved", servers: 1, done: true });
  });

  test("and one server refuses goes to the next that comes", async () => {
    const works = (...ids: string[]): void => void (servers.value = ids.map((id) => ({ id, state: "working" }) as ServerView));
    works();
    const told = vi.fn();
    expect(await post(item("good", place("list")), told, never)).toBe(true);
    works("hostile");
    answer = refusal("bad-signature");
    await sendWaiting();
    expect(outbox.value).toMatchObject([{ refused: { code: "bad-signature" } }]);
    posted.length = 0;
    // Those that refused it are not asked without end.
    await sendWaiting();
    expect(posted).toEqual([]);
    works("hostile", "honest");
    answer = saved;
    await sendWaiting();
    expect(posted).toEqual(["good"]);
    expect(outbox.value).toEqual([]);
    expect(told).toHaveBeenLastCalledWith({ at: "saved", servers: 1, done: true });
  });

  test("is kept at every moment while work makes another document of it", async () => {
    const draft: Draft = { place: place("list"), date: new Date(0), body: "dear" };
    const { id, bytes } = signDraft(draft, seed) as Document;
    const keep = await keeping;
    // As many as may wait do: that is no reason to lose one.
    for (let i = 1; i < maxWaiting; i++) await keep.put("outbox", `${place("other").community}/${place("other").topic}/${hashOfName(`${i}`)}`, { bytes: new Uint8Array(1), at: -i, due: Number.MAX_SAFE_INTEGER });
    let least = Number.POSITIVE_INFINITY;
    const count = async (): Promise<void> => {
      least = Math.min(least, (await keep.list("outbox")).length);
    };
    const { put, remove } = keep;
    const spies = [
      vi.spyOn(keep, "put").mockImplementation((...all) => put(...all).then(count)),
      vi.spyOn(keep, "remove").mockImplementation((...all) => remove(...all).then(count)),
    ];
    const list = view();
    showIn(place("list"), list);
    answer = { ...refused, code: "work-needed", work: 1 } as PostOutcome;
    const told = vi.fn((state: { at: string }) => {
      // What is asked for is paid once; then nobody answers.
      if (state.at === "working") answer = undefined;
    });
    expect(await post({ ...item("", place("list")), id, bytes, draft, key: me.key }, told, never)).toBe(true);
    expect(told).toHaveBeenLastCalledWith({ at: "waits" });
    for (const spy of spies) spy.mockRestore();
    expect(least).toBe(maxWaiting);
    const [waiting, ...others] = outbox.value.filter(({ at: when }) => when > 0);
    expect(others).toEqual([]);
    expect(waiting?.id).not.toBe(id);
    expect(list.undo.mock.calls).toEqual([[id]]);
    for (const [key] of await keep.list("outbox")) if (!key.endsWith(waiting?.id ?? "")) await keep.remove("outbox", key);
  });

  test("and who is told of it are forgotten together: with him goes the thread that he read", async () => {
    const kept: WeakRef<object>[] = [];
    const write = async (name: string): Promise<boolean> => {
      const tell = (): void => undefined;
      kept.push(new WeakRef(tell));
      return post(item(name, place("list")), tell, never);
    };
    await write("waits");
    answer = saved;
    await sendWaiting();
    await write("goes");
    answer = refused;
    await write("is refused");
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setTimeout(resolve)).then(collect);
    expect(kept.map((each) => each.deref())).toEqual([undefined, undefined, undefined]);
  });
});

test("a text is too long where every server takes less", () => {
  const works = (...sizes: number[]): void => void (servers.value = sizes.map((maxSize) => ({ state: "working", limits: { maxSize } }) as ServerView));
  const long = (length: number): number => tooLong({ name: signal("") } as Topic, "x".repeat(length));
  const headers = 600;
  works();
  expect([long(maxDocument - headers), long(maxDocument - headers + 1)]).toEqual([0, 1]);
  works(2000, 1000);
  expect([long(2000 - headers), long(2000 - headers + 7)]).toEqual([0, 7]);
  // One that takes nothing is not the network.
  works(0, maxDocument * 2);
  expect([long(maxDocument - headers), long(maxDocument - headers + 1)]).toEqual([0, 1]);
  servers.value = [];
});
