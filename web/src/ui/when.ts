// Dates, relative to now.

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const steps: readonly (readonly [seconds: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [60, "second"],
  [3600, "minute"],
  [86400, "hour"],
  [30 * 86400, "day"],
];

/** How long ago; from a month on, the day. date: milliseconds since 1970. */
export function ago(date: number, now: number): string {
  const seconds = Math.round((date - now) / 1000);
  let before = 1;
  for (const [limit, unit] of steps) {
    if (Math.abs(seconds) < limit) return relative.format(unit === "second" ? 0 : Math.trunc(seconds / before), unit);
    before = limit === 30 * 86400 ? before : limit;
  }
  return day.format(date);
}

export function fullDate(date: number): string {
  return full.format(date);
}
