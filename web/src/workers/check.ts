// Checking signatures: by the browser where it decides as SPEC.md says, which takes a tenth of a millisecond; else by
// this program, in as many workers as there are. Where there are many of them, workers check some while this one reads.

import { decidesAlike, slowVerifier, type Verifier, verifierOf } from "../protocol/verifier.ts";
import type { Claim } from "./messages.ts";
import type { CheckAll } from "./session.ts";

/** What a helper is asked, and what it answers: the number of the question and a verdict for each claim. */
interface Question {
  readonly n: number;
  readonly claims: readonly Claim[];
}
interface Answer {
  readonly n: number;
  readonly verdicts: readonly boolean[];
}

/** Questions that a helper has at a time: it is never without work, and never so far behind that it is waited for. */
const maxAsked = 4;

/** A helper that is silent for so long is not asked again: slow phones take two seconds for all that it has at a time. */
const silentMillis = 10_000;
/** Where the browser checks, fewer are checked before others have answered. */
const minShared = 256;

function verifyAll(claims: readonly Claim[], verifier: Verifier): Promise<boolean[]> {
  return Promise.all(claims.map(({ key, message, signature }) => verifier(key, message, signature)));
}

export interface Checker {
  readonly checkAll: CheckAll;
  /** Has helpers check; undefined where all have enough to do, or there are none yet. */
  checkElsewhere(claims: readonly Claim[]): Promise<readonly boolean[]> | undefined;
  addHelpers(ports: readonly MessagePort[]): void;
  /** Answers questions until the other side is gone. */
  help(port: MessagePort): void;
}

/** callHelpers is called once: where the browser is of no help, or there is much to check. */
export function makeChecker(subtle: SubtleCrypto | undefined, callHelpers: () => void): Checker {
  const helpers: MessagePort[] = [];
  const waiting = new Map<number, (verdicts: readonly boolean[]) => void>();
  let questions = 0;
  let areCalled = false;
  const call = (): void => {
    if (!areCalled) callHelpers();
    areCalled = true;
  };
  const alike = decidesAlike(subtle).then((yes) => {
    if (!yes) {
      call();
      // Asked for before there is anything to check.
      void import("../protocol/signature.ts");
    }
    return yes;
  });
  const fast = subtle === undefined ? undefined : verifierOf(subtle);

  const mine = (isFast: boolean): Verifier => (isFast && fast !== undefined ? fast : slowVerifier);
  const ask = (helper: MessagePort, claims: readonly Claim[]): Promise<readonly boolean[]> =>
    new Promise((resolve) => {
      const n = questions++;
      // A worker that did not start says nothing of it here, and browsers end some to save memory.
      const timer = setTimeout(() => {
        waiting.delete(n);
        const at = helpers.indexOf(helper);
        if (at >= 0) helpers.splice(at, 1);
        resolve(alike.then((isFast) => verifyAll(claims, mine(isFast))));
      }, silentMillis);
      waiting.set(n, (verdicts) => {
        clearTimeout(timer);
        resolve(verdicts);
      });
      // What is sent is copied whole: a view of a pack would bring all of it.
      const own = claims.map(({ key, message, signature }) => ({ key: key.slice(), message: message.slice(), signature: signature.slice() }));
      helper.postMessage({ n, claims: own } satisfies Question);
    });

  return {
    async checkAll(claims) {
      const isFast = await alike;
      if (isFast && claims.length < minShared) return verifyAll(claims, mine(isFast));
      // Each helper takes its share; this worker takes one, too.
      const shares = helpers.length + 1;
      const size = Math.ceil(claims.length / shares);
      const asked = helpers.map((helper, i) => ask(helper, claims.slice((i + 1) * size, (i + 2) * size)));
      const own = await verifyAll(claims.slice(0, size), mine(isFast));
      return [...own, ...(await Promise.all(asked)).flat()];
    },
    checkElsewhere(claims) {
      call();
      const helper = helpers[questions % helpers.length];
      return helper === undefined || waiting.size >= maxAsked * helpers.length ? undefined : ask(helper, claims);
    },
    help(port) {
      port.onmessage = async ({ data }: MessageEvent<Question>) => {
        const verdicts = await verifyAll(data.claims, mine(await alike));
        port.postMessage({ n: data.n, verdicts } satisfies Answer);
      };
    },
    addHelpers(ports) {
      for (const port of ports) {
        port.onmessage = ({ data }: MessageEvent<Answer>) => {
          waiting.get(data.n)?.(data.verdicts);
          waiting.delete(data.n);
        };
        helpers.push(port);
      }
    },
  };
}
