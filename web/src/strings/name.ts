// Names that strangers chose, made fit to be shown: nothing in them may move, hide or imitate what stands around them.

/** Code points that are shown of a name. */
export const maxName = 48;

// Controls, line and paragraph separators, zero-width characters, directions, tags, private use, and what is not
// assigned: a name has no need of them.
const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]/gu;
// More marks than that on one letter climb over the lines around it.
const towers = /(\p{M}{3})\p{M}+/gu;

/** A name as it may be shown, empty if nothing is left of it. */
export function shownName(name: string): string {
  const visible = name.normalize("NFC").replace(invisible, "").replace(/\s+/gu, " ").replace(towers, "$1").trim();
  const points = [...visible];
  return points.length <= maxName ? visible : `${points.slice(0, maxName).join("").trimEnd()}…`;
}
