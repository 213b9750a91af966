// What counts of a topic's documents: the first two steps of SPEC.md, section 9. Threads and lists begin with them.

import { type Document, isPremature } from "./document.ts";
import { compare, type Hash, type Place } from "./hash.ts";
import { kindOf, targetOf } from "./kinds.ts";

export interface Living {
  /** Those that no delete of their author removes, each once. */
  readonly documents: readonly Document[];
  /** The newest delete of each id that one names, of whatever key. */
  readonly deletes: ReadonlyMap<Hash, Document>;
}

/** Whether a is the newer one of two documents. */
export function isNewer(a: Document, b: Document): boolean {
  return (compare(a.signed?.date ?? "", b.signed?.date ?? "") || compare(a.id, b.id)) > 0;
}

/** What counts in a topic at a time, in milliseconds since 1970. Documents of other places are passed over. */
export function living(place: Place, documents: Iterable<Document>, now: number): Living {
  const known = new Map<Hash, Document>();
  for (const document of documents) {
    const here = document.place.topic === place.topic && document.place.community === place.community;
    if (here && !isPremature(document, now)) known.set(document.id, document);
  }
  const deletes = new Map<Hash, Document>();
  const removed = new Set<string>();
  for (const document of known.values()) {
    const target = kindOf(document) === "delete" ? targetOf(document) : undefined;
    if (target === undefined) continue;
    removed.add(`${document.signed?.key} ${target}`);
    const other = deletes.get(target);
    if (other === undefined || isNewer(document, other)) deletes.set(target, document);
  }
  const isRemoved = (document: Document): boolean => {
    // Few topics have many deletes, and what none names needs no look at who signed it.
    if (document.signed === undefined || deletes.size === 0) return false;
    const kind = kindOf(document);
    if (kind === "delete") return false;
    const { key } = document.signed;
    return removed.has(`${key} ${document.id}`) || (kind === "edit" && removed.has(`${key} ${targetOf(document)}`));
  };
  return { documents: [...known.values()].filter((document) => !isRemoved(document)), deletes };
}
