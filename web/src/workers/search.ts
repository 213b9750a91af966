// Search over all that is held: the comments that were verified and kept, of all topics.

import type { Keep } from "../keep/keep.ts";
import { keptFiles, keptTopics } from "../keep/topics.ts";
import { type Document, isRefusal, judgeDocument } from "../protocol/document.ts";
import { fold } from "../protocol/thread.ts";
import { shownName } from "../strings/name.ts";
import type { Found } from "./messages.ts";

/** Results that are given; who wants others adds a word. */
export const maxFound = 100;
const excerpt = 160;

/** Words as they are compared: without case and accents. */
export function plainWords(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Comments that have all the words, topic by topic, newest visit first. */
export async function search(
  keep: Keep,
  words: string,
  tell: (found: readonly Found[], done: boolean) => void,
  pause: () => Promise<void>,
): Promise<void> {
  const wanted = plainWords(words).split(/\s+/).filter((word) => word !== "").slice(0, 16);
  let left = maxFound;
  for (const [place, { name }] of wanted.length === 0 ? [] : await keptTopics(keep)) {
    const documents: Document[] = [];
    for (const bytes of await keptFiles(keep, place)) {
      // Verified before it was kept.
      const verdict = await judgeDocument(bytes, place, async () => true);
      if (!isRefusal(verdict)) documents.push(verdict);
    }
    const thread = fold(place, documents, [], Date.now(), "newest");
    const found: Found[] = [];
    for (const comment of thread.comments) {
      const user = shownName(comment.user ?? "");
      const text = plainWords(`${user} ${comment.body}`);
      if (left === 0) break;
      if (comment.deleted === true || !wanted.every((word) => text.includes(word))) continue;
      left--;
      found.push({ place, id: comment.id, topic: thread.name ?? name, user, text: around(comment.body, wanted), date: comment.date ?? "" });
    }
    if (found.length > 0) tell(found, false);
    if (left === 0) break;
    await pause();
  }
  tell([], true);
}

/** What stands around the first word. */
function around(body: string, wanted: readonly string[]): string {
  // Without the signs of Markdown, as far as they are simple.
  const flat = body.replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*_`#>|]+/g, "").replace(/\s+/g, " ").trim();
  const at = Math.max(0, plainWords(flat).indexOf(wanted[0] ?? "") - 40);
  const cut = flat.slice(at, at + excerpt);
  return `${at > 0 ? "…" : ""}${cut}${at + excerpt < flat.length ? "…" : ""}`;
}
