// Values that know who read them, and tell them when they change. What is worked out of others is worked out when it is
// asked for, and again only if one of those has changed; what is done because of some is done again when one has, once for
// all changes of a batch. They are written as those of @preact/signals-core are, which the tests compare them with, and are
// a third of its size.

/** What reads: a computed value, or an effect. */
interface Reader {
  /** What it read last, in that order, and the version it saw. */
  sources: Map<Source<unknown>, number>;
  /** Whether it is to be told. */
  isWatching(): boolean;
  told(): void;
}

/** So often effects may set off others, or themselves, before they are ended. */
const maxRounds = 100;

let reading: Reader | undefined;
let batches = 0;
/** How many changes there were, of any signal. */
let changes = 0;
const due = new Set<Effect>();

abstract class Source<T> {
  version = 0;
  protected readonly readers = new Set<Reader>();

  abstract peek(): T;

  get value(): T {
    const value = this.peek();
    if (reading !== undefined) {
      if (reading.isWatching()) this.join(reading);
      reading.sources.set(this, this.version);
    }
    return value;
  }

  /** Tells who read it that it may have changed. */
  told(): void {
    for (const reader of [...this.readers]) reader.told();
  }

  join(reader: Reader): void {
    this.readers.add(reader);
  }

  leave(reader: Reader): void {
    this.readers.delete(reader);
  }
}

/** Does something that reads, and notes what. */
function read<T>(reader: Reader, act: () => T): T {
  const [outer, before] = [reading, reader.sources];
  reading = reader;
  reader.sources = new Map();
  try {
    return act();
  } finally {
    reading = outer;
    for (const source of before.keys()) if (!reader.sources.has(source)) source.leave(reader);
  }
}

/** Whether anything that was read is another now. What comes after that may not be read any more: it is not asked. */
function isOld({ sources }: Reader): boolean {
  for (const [source, version] of sources) {
    source.peek();
    if (source.version !== version) return true;
  }
  return false;
}

class Value<T> extends Source<T> {
  constructor(private now: T) {
    super();
  }

  override peek(): T {
    return this.now;
  }

  override get value(): T {
    return super.value;
  }

  override set value(value: T) {
    if (value === this.now) return;
    this.now = value;
    this.version++;
    changes++;
    batch(() => this.told());
  }
}

class Computed<T> extends Source<T> implements Reader {
  sources = new Map<Source<unknown>, number>();
  private now: T | undefined;
  private seen = -1;

  constructor(private readonly compute: () => T) {
    super();
  }

  override peek(): T {
    if (this.seen !== changes) {
      const at = changes;
      if (this.version === 0 || isOld(this)) {
        const value = read(this, this.compute);
        if (this.version === 0 || value !== this.now) this.version++;
        this.now = value;
      }
      this.seen = at;
    }
    return this.now as T;
  }

  isWatching(): boolean {
    return this.readers.size > 0;
  }

  // It is told of changes only as long as somebody is to be told by it: else nothing would ever let go of it.
  override join(reader: Reader): void {
    if (!this.isWatching()) for (const source of this.sources.keys()) source.join(this);
    super.join(reader);
  }

  override leave(reader: Reader): void {
    super.leave(reader);
    if (!this.isWatching()) for (const source of this.sources.keys()) source.leave(this);
  }
}

class Effect implements Reader {
  sources = new Map<Source<unknown>, number>();
  private isEnded = false;
  private undo: (() => void) | void = undefined;

  constructor(private readonly act: () => (() => void) | void) {}

  run(): void {
    this.undo?.();
    this.undo = read(this, this.act);
  }

  isWatching(): boolean {
    return !this.isEnded;
  }

  told(): void {
    if (!this.isEnded) due.add(this);
  }

  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    due.delete(this);
    for (const source of this.sources.keys()) source.leave(this);
    this.undo?.();
  }
}

export type { Value as Signal };
export type ReadonlySignal<T> = Pick<Source<T>, "value" | "peek">;

export function signal<T>(value: T): Value<T> {
  return new Value(value);
}

/** What a function gives that reads signals. */
export function computed<T>(compute: () => T): ReadonlySignal<T> {
  return new Computed(compute);
}

/** Acts now, and whenever a signal changes that it read; what it returns is done before the next time. Returns its end. */
export function effect(act: () => (() => void) | void): () => void {
  const made = new Effect(act);
  try {
    batch(() => made.run());
  } catch (error) {
    made.end();
    throw error;
  }
  return () => made.end();
}

/** Makes changes of which effects are told at the end. */
export function batch<T>(act: () => T): T {
  batches++;
  try {
    return act();
  } finally {
    try {
      if (batches === 1) settle();
    } finally {
      batches--;
    }
  }
}

function settle(): void {
  let failure: { readonly error: unknown } | undefined;
  for (let round = 0; due.size > 0; round++) {
    const now = [...due];
    due.clear();
    for (const each of now) {
      try {
        if (round === maxRounds) throw new Error("effects that never come to rest");
        if (each.isWatching() && isOld(each)) each.run();
      } catch (error) {
        each.end();
        failure ??= { error };
      }
    }
  }
  if (failure !== undefined) throw failure.error;
}
