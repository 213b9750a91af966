// What the page speaks. English is built in; another language's words, once they are here, stand in the place of the
// English ones: who uses these sees no difference. So nothing may be made of them before it is drawn.

type Named = Readonly<Record<string, object>>;

const built: Named = {};
let spoken: Named = {};

/** A BCP 47 tag: the language, with the reader's region where he has one of that language. */
export let locale: string;
/** Which of its forms the language uses for a number. */
export let rules: Intl.PluralRules;

/** It throws where a tag is none. */
export function setLocale(tag: string): void {
  rules = new Intl.PluralRules(tag);
  locale = tag;
}
setLocale("en");

/** Has words follow the language, those that are built in and those that come later. */
export function translate(english: Named, words = spoken): void {
  spoken = words;
  Object.assign(built, english);
  for (const name in built) Object.assign(built[name] as object, words[name]);
}

export const number = (n: number, how?: Intl.NumberFormatOptions): string => n.toLocaleString(locale, how);
