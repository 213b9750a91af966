// Dates, relative to now.

import { page } from "../strings/en.ts";
import { locale } from "../strings/spoken.ts";

/** Made when the language is known. */
const formats = () => [
  new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: page.near as Intl.RelativeTimeFormatStyle }),
  new Intl.DateTimeFormat(locale, { year: "numeric", month: "short", day: "numeric" }),
  new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" }),
] as const;
let made: ReturnType<typeof formats> | undefined;
const steps: readonly (readonly [seconds: number, unit: Intl.RelativeTimeFormatUnit])[] = [
  [60, "second"],
  [3600, "minute"],
  [86400, "hour"],
  [30 * 86400, "day"],
];

/** How long ago; from a month on, the day. date: milliseconds since 1970. */
export function ago(date: number, now = Date.now()): string {
  const [relative, day] = (made ??= formats());
  const seconds = Math.round((date - now) / 1000);
  let before = 1;
  for (const [limit, unit] of steps) {
    if (Math.abs(seconds) < limit) return relative.format(unit === "second" ? 0 : Math.trunc(seconds / before), unit);
    before = limit === 30 * 86400 ? before : limit;
  }
  return day.format(date);
}

export function fullDate(date: number): string {
  return (made ??= formats())[2].format(date);
}
