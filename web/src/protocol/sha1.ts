// SHA-1 with the test of Stevens and Shumow ("Speeding up detection of SHA-1 collision attacks using unavoidable
// attack conditions", USENIX Security 2017; "Counter-cryptanalysis", Crypto 2013). SPEC.md, section 2, asks for it: the
// bytes of a comment are named by their SHA-1, and whoever makes two of one name could show each half of the readers
// another one.
//
// An attack's last block differs from its twin's by a known XOR of the 80 expanded words, one of 32 such. For each of
// them whose conditions on the words hold, the compression is done again for the twin, outwards from a step at which
// the two have the same state. If the twin ends in the same hash, the block is half of a collision.

import { type Bytes, padded } from "./bytes.ts";

export interface Sum {
  readonly hash: Bytes;
  /** True if a block looks like one half of a collision. */
  readonly collision: boolean;
}

/** One disturbance vector: I(k,b) or II(k,b) in the notation of Manuel. */
interface Disturbance {
  readonly type: 1 | 2;
  readonly k: number;
  readonly b: number;
  /** The XOR of the expanded words of the two messages. */
  readonly difference: Int32Array;
  /** A step before which the two states are equal. */
  readonly step: 58 | 65;
}

// The 32 vectors by type and shift: type, b, the values of k.
const classes: readonly (readonly [1 | 2, number, readonly number[]])[] = [
  [1, 0, [43, 44, 45, 46, 47, 48, 49, 50, 51, 52]],
  [1, 2, [46, 47, 48, 49, 50, 51]],
  [2, 0, [45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56]],
  [2, 2, [46, 49, 50, 51]],
];

// The conditions that an attack on a vector cannot avoid, by class as above. They move along with k, so each is said
// once: [i, a, j, c, x, from, to] says that bit a of word k+i and bit c of word k+i+j have the XOR x, for the class's k
// 43+from..43+to. These are all that the authors' program checks, 373: see sha1.test.ts.
const conditions: readonly (readonly number[])[][] = [
  [
    [-16, 3, 4, 28, 0, 8, 8], [-14, 4, 1, 4, 1, 7, 9], [-13, 4, 4, 29, 0, 5, 9], [-10, 4, 3, 29, 0, 4, 9],
    [-10, 4, 4, 29, 0, 2, 3], [-8, 29, 1, 29, 0, 5, 9], [-7, 29, 1, 29, 0, 4, 9], [-6, 4, 2, 4, 1, 0, 3],
    [-6, 4, 3, 29, 0, 0, 9], [-4, 4, 2, 4, 1, 0, 1], [-4, 4, 3, 29, 0, 0, 9], [-4, 29, 1, 29, 0, 1, 9],
    [-4, 29, 7, 29, 1, 9, 9], [-3, 29, 2, 29, 1, 4, 9], [-3, 29, 7, 29, 1, 8, 8], [-2, 4, 3, 29, 0, 0, 9],
    [-1, 29, 2, 29, 1, 2, 8], [0, 4, 3, 29, 0, 0, 9], [1, 29, 2, 29, 1, 0, 6], [1, 29, 3, 29, 1, 7, 7],
    [1, 29, 3, 29, 1, 9, 9], [3, 29, 1, 29, 0, 0, 9], [15, 0, 1, 5, 1, 2, 5], [15, 0, 5, 30, 1, 0, 1],
    [16, 5, 4, 30, 0, 0, 1], [18, 1, 1, 6, 1, 0, 2],
  ],
  [
    [-16, 5, 4, 30, 0, 8, 8], [-14, 1, 0, 6, 0, 8, 8], [-14, 1, 1, 6, 1, 6, 8], [-11, 1, 1, 6, 1, 3, 5],
    [-11, 1, 1, 6, 1, 7, 8], [-11, 1, 2, 1, 1, 6, 6], [-10, 6, 1, 1, 0, 6, 8], [-7, 1, 1, 6, 1, 3, 5],
    [-7, 1, 1, 6, 1, 8, 8], [-7, 1, 8, 1, 1, 6, 7], [-6, 6, 2, 6, 0, 3, 8], [-4, 6, 2, 6, 0, 3, 8],
    [-2, 6, 2, 6, 0, 3, 8], [0, 6, 1, 1, 0, 3, 8], [15, 2, 1, 7, 1, 3, 5],
  ],
  [
    [-18, 4, 2, 4, 1, 11, 13], [-18, 4, 3, 29, 0, 12, 13], [-16, 4, 2, 4, 1, 9, 13], [-16, 4, 3, 29, 0, 10, 13],
    [-16, 29, 1, 29, 0, 13, 13], [-13, 30, 5, 28, 1, 5, 9], [-12, 3, 4, 28, 0, 4, 13], [-12, 4, 4, 29, 0, 4, 13],
    [-9, 4, 3, 29, 0, 3, 13], [-9, 4, 4, 29, 0, 2, 2], [-7, 29, 1, 29, 0, 4, 13], [-6, 29, 1, 29, 0, 3, 13],
    [-4, 4, 3, 29, 0, 2, 13], [-2, 29, 1, 29, 0, 2, 13], [-1, 29, 1, 29, 0, 2, 13], [2, 4, 2, 29, 0, 12, 12],
    [2, 4, 3, 29, 0, 2, 11], [4, 4, 3, 29, 0, 2, 9], [4, 4, 4, 29, 0, 10, 13], [4, 29, 1, 29, 0, 2, 11],
    [4, 29, 3, 29, 1, 4, 4], [4, 29, 3, 29, 1, 6, 6], [4, 29, 3, 29, 1, 9, 9], [5, 29, 2, 29, 1, 2, 2],
    [5, 29, 3, 29, 1, 3, 3], [5, 29, 3, 29, 1, 5, 5], [5, 29, 3, 29, 1, 7, 8], [5, 29, 3, 29, 1, 10, 10],
    [7, 29, 1, 29, 0, 2, 9], [15, 0, 1, 5, 1, 2, 5], [18, 1, 1, 6, 1, 2, 2],
  ],
  [
    [-13, 0, 5, 30, 1, 6, 8], [-12, 5, 4, 30, 0, 6, 8], [-10, 1, 1, 6, 1, 3, 8], [-9, 6, 1, 1, 0, 6, 8],
    [-5, 1, 1, 6, 1, 3, 6], [-5, 1, 2, 1, 1, 7, 8], [-4, 6, 1, 1, 0, 3, 8], [1, 1, 4, 1, 1, 3, 8],
    [2, 6, 2, 6, 0, 3, 8], [4, 6, 1, 1, 0, 3, 8], [15, 2, 1, 7, 1, 3, 3],
  ],
];

const disturbances: readonly Disturbance[] = classes.flatMap(([type, b, ks]) => ks.map((k) => disturbance(type, k, b)));

// Six numbers for each condition on two bits: i, a, j, c, x, and the vectors that ask for it, a bit each. Those that
// most vectors share come first, so that most blocks are done with after a few.
const checks: Int32Array = mergeConditions();

function rotl(x: number, n: number): number {
  return (x << n) | (x >>> (32 - n));
}

function disturbance(type: 1 | 2, k: number, b: number): Disturbance {
  // The disturbances themselves obey the message expansion, forwards and backwards from k..k+15. Five more stand
  // before step 0, for the corrections that they leave in the first steps.
  const before = 5;
  const d = new Int32Array(80 + before);
  const at = before + k;
  if (type === 2) d[at + 1] = d[at + 3] = rotl(1, (31 + b) & 31);
  d[at + 15] = rotl(1, b);
  const get = (i: number): number => d[i] as number;
  for (let i = at + 16; i < d.length; i++) d[i] = rotl(get(i - 3) ^ get(i - 8) ^ get(i - 14) ^ get(i - 16), 1);
  for (let i = at - 1; i >= 0; i--) d[i] = rotl(get(i + 16), 31) ^ get(i + 13) ^ get(i + 8) ^ get(i + 2);
  // Each disturbance is corrected in the five words after it.
  const difference = new Int32Array(80);
  for (let i = 0; i < 80; i++) {
    const n = i + before;
    difference[i] = get(n) ^ rotl(get(n - 1), 5) ^ get(n - 2) ^ rotl(get(n - 3) ^ get(n - 4) ^ get(n - 5), 30);
  }
  return { type, k, b, difference, step: k < 50 ? 58 : 65 };
}

function mergeConditions(): Int32Array {
  const merged = new Map<string, number[]>();
  let first = 0;
  classes.forEach(([, , ks], n) => {
    for (const [i = 0, a = 0, j = 0, c = 0, x = 0, from = 0, to = 0] of conditions[n] ?? []) {
      ks.forEach((k, index) => {
        if (k < 43 + from || k > 43 + to) return;
        const key = [k + i, a, k + i + j, c, x];
        const known = merged.get(key.join()) ?? [...key, 0];
        known[5] = (known[5] as number) | (1 << (first + index));
        merged.set(key.join(), known);
      });
    }
    first += ks.length;
  });
  const bits = (n: number): number => (n === 0 ? 0 : 1 + bits(n & (n - 1)));
  return Int32Array.from([...merged.values()].sort((p, q) => bits(q[5] as number) - bits(p[5] as number)).flat());
}

/** Each condition as text, for the test that compares them: "II(50,2) 45.1^47.1=1". */
export function theConditions(): string[] {
  const all: string[] = [];
  for (let n = 0; n < checks.length; n += 6) {
    const [i, a, j, c, x, vectors = 0] = checks.subarray(n, n + 6);
    disturbances.forEach(({ type, k, b }, v) => {
      if (((vectors >>> v) & 1) === 1) all.push(`${"I".repeat(type)}(${k},${b}) ${i}.${a}^${j}.${c}=${x}`);
    });
  }
  return all;
}

/** The disturbance vectors whose conditions the expanded words fulfil, one bit each. */
function candidates(w: Int32Array): number {
  let mask = -1;
  for (let n = 0; n < checks.length && mask !== 0; n += 6) {
    const p = (w[checks[n] as number] as number) >>> (checks[n + 1] as number);
    const q = (w[checks[n + 2] as number] as number) >>> (checks[n + 3] as number);
    if (((p ^ q) & 1) !== checks[n + 4]) mask &= ~(checks[n + 5] as number);
  }
  return mask;
}

/** The round function of a step and its constant. */
function f(step: number, b: number, c: number, d: number): number {
  if (step < 20) return (d ^ (b & (c ^ d))) + 0x5a827999;
  if (step < 40) return (b ^ c ^ d) + 0x6ed9eba1;
  if (step < 60) return ((b & c) | (d & (b | c))) - 0x70e44324;
  return (b ^ c ^ d) - 0x359d3e2a;
}

/** Runs the steps from..to-1 on a state of five words, in place. */
function forwards(s: Int32Array, w: Int32Array, from: number, to: number): void {
  let a = s[0] as number, b = s[1] as number, c = s[2] as number, d = s[3] as number, e = s[4] as number;
  for (let i = from; i < to; i++) {
    const t = (rotl(a, 5) + f(i, b, c, d) + e + (w[i] as number)) | 0;
    e = d;
    d = c;
    c = rotl(b, 30);
    b = a;
    a = t;
  }
  s[0] = a; s[1] = b; s[2] = c; s[3] = d; s[4] = e;
}

/** Undoes the steps from-1..0. */
function backwards(s: Int32Array, w: Int32Array, from: number): void {
  let a = s[0] as number, b = s[1] as number, c = s[2] as number, d = s[3] as number, e = s[4] as number;
  for (let i = from - 1; i >= 0; i--) {
    const t = a;
    a = b;
    b = rotl(c, 2);
    c = d;
    d = e;
    e = (t - rotl(a, 5) - f(i, b, c, d) - (w[i] as number)) | 0;
  }
  s[0] = a; s[1] = b; s[2] = c; s[3] = d; s[4] = e;
}

/** Whether the twin that a disturbance vector gives, with its own chaining value, ends in the same hash. */
function twinEndsIn(after: Int32Array, w: Int32Array, state: Int32Array, { difference, step }: Disturbance): boolean {
  const twin = new Int32Array(80);
  for (let i = 0; i < 80; i++) twin[i] = (w[i] as number) ^ (difference[i] as number);
  const start = Int32Array.from(state);
  const end = Int32Array.from(state);
  backwards(start, twin, step);
  forwards(end, twin, step, 80);
  return after.every((word, i) => word === (((start[i] as number) + (end[i] as number)) | 0));
}

const w = new Int32Array(80);
const s = new Int32Array(5);
const at58 = new Int32Array(5);
const at65 = new Int32Array(5);

export function sha1(bytes: Uint8Array): Sum {
  const h = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const view = padded(bytes);
  let collision = false;
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 80; i++) {
      w[i] = rotl((w[i - 3] as number) ^ (w[i - 8] as number) ^ (w[i - 14] as number) ^ (w[i - 16] as number), 1);
    }
    s.set(h);
    forwards(s, w, 0, 58);
    at58.set(s);
    forwards(s, w, 58, 65);
    at65.set(s);
    forwards(s, w, 65, 80);
    for (let i = 0; i < 5; i++) h[i] = (h[i] as number) + (s[i] as number);
    for (let n = 0, mask = candidates(w); mask !== 0; n++, mask >>>= 1) {
      const vector = disturbances[n] as Disturbance;
      if ((mask & 1) !== 0 && twinEndsIn(h, w, vector.step === 58 ? at58 : at65, vector)) collision = true;
    }
  }
  const hash = new Uint8Array(20);
  const out = new DataView(hash.buffer);
  for (let i = 0; i < 5; i++) out.setInt32(4 * i, h[i] as number);
  return { hash, collision };
}
