// Package-wide memory of the page: small tables of plain values in IndexedDB, or in memory where a browser has none or
// forbids it. What is kept here was made or verified by this page; it is bounded table by table, in the modules that
// own the tables.

import { shared } from "../gateway.ts";

/** The tables, and who owns them. */
export const tables = ["packs", "topics", "keys", "drafts", "outbox", "settings"] as const;
export type Table = (typeof tables)[number];

/** Keys are strings: a place, a public key, a setting's name. They sort by UTF-16 units. */
export interface Keep {
  /** Whether it outlives the page. */
  readonly lasting: boolean;
  get(table: Table, key: string): Promise<unknown>;
  /** Resolves when it is kept; rejects where there is no room. */
  put(table: Table, key: string, value: unknown): Promise<void>;
  /** Puts what follows from what is there, with nothing between: workers and other tabs write, too. */
  change(table: Table, key: string, next: (before: unknown) => unknown): Promise<void>;
  remove(table: Table, key: string): Promise<void>;
  /** Those whose key begins with a prefix, sorted by key. */
  list(table: Table, prefix?: string): Promise<[key: string, value: unknown][]>;
}

const databaseName = "comntr";
const version = 1;
// A browser that is asked for its database on a page that may not have one sometimes never answers.
const openMillis = 3000;

/** The browser's database, or memory. It never fails. */
export async function openKeep(factory: IDBFactory | undefined = indexedDBOf()): Promise<Keep> {
  const database = factory === undefined ? undefined : await openDatabase(factory).catch(() => undefined);
  return database === undefined ? memoryKeep() : databaseKeep(database);
}

function indexedDBOf(): IDBFactory | undefined {
  if (shared) return undefined;
  // Where storage is forbidden, only touching the name throws.
  try {
    return (globalThis as { indexedDB?: IDBFactory }).indexedDB;
  } catch {
    return undefined;
  }
}

function openDatabase(factory: IDBFactory): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = factory.open(databaseName, version);
    const timer = setTimeout(() => reject(new Error("the database does not answer")), openMillis);
    request.onupgradeneeded = () => {
      for (const table of tables) request.result.createObjectStore(table);
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      // A newer page in another tab wants to change the tables: let it.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error);
    };
  });
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Resolves when a write is kept, not merely done: a transaction may still fail at its end, for want of room. */
function committed(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
    transaction.onerror = () => reject(transaction.error);
  });
}

function databaseKeep(database: IDBDatabase): Keep {
  const write = async (table: Table, act: (store: IDBObjectStore) => void): Promise<void> => {
    const transaction = database.transaction(table, "readwrite");
    act(transaction.objectStore(table));
    await committed(transaction);
  };
  const read = (table: Table): IDBObjectStore => database.transaction(table).objectStore(table);
  return {
    lasting: true,
    get: async (table, key) => settled(read(table).get(key)),
    put: (table, key, value) => write(table, (store) => store.put(value, key)),
    change: (table, key, next) =>
      write(table, (store) => {
        const before = store.get(key);
        before.onsuccess = () => store.put(next(before.result), key);
      }),
    remove: (table, key) => write(table, (store) => store.delete(key)),
    list: async (table, prefix = "") => {
      const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
      const store = read(table);
      const [keys, values] = await Promise.all([settled(store.getAllKeys(range)), settled(store.getAll(range))]);
      return keys.map((key, i) => [String(key), values[i]]);
    },
  };
}

/** In memory: until the page is closed. */
export function memoryKeep(): Keep {
  const all = new Map<Table, Map<string, unknown>>(tables.map((table) => [table, new Map()]));
  const of = (table: Table): Map<string, unknown> => all.get(table) as Map<string, unknown>;
  return {
    lasting: false,
    get: async (table, key) => of(table).get(key),
    put: async (table, key, value) => {
      of(table).set(key, structuredClone(value));
    },
    change: async (table, key, next) => {
      of(table).set(key, structuredClone(next(of(table).get(key))));
    },
    remove: async (table, key) => {
      of(table).delete(key);
    },
    list: async (table, prefix = "") =>
      [...of(table)].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)),
  };
}
