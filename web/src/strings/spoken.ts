// What the page speaks. English is built in; another language's words, once they are here, stand in the place of the
// English ones: who uses these sees no difference. So nothing may be made of them before it is drawn.

type Named = Readonly<Record<string, object>>;
type Words = Readonly<Record<string, object | string>>;

const built: Named[] = [];
let spoken: Words = {};

/** A BCP 47 tag: the language, with the reader's region where he has one of that language. */
export let locale: string;
/** Which of its forms the language uses for a number. */
export let rules: Intl.PluralRules;

/** It throws where a tag is none. */
export function setLocale(tag: string): void {
  rules = new Intl.PluralRules((locale = tag));
}
setLocale("en");

function replace(english: Named): void {
  for (const name in english) Object.assign(english[name] as object, spoken[name]);
}

/** Has a file's English words follow the language, whichever of the two comes first. */
export function translate(english: Named): void {
  built.push(english);
  replace(english);
}

export function speak(words: Words): void {
  spoken = words;
  built.forEach(replace);
}

export const number = (n: number, how?: Intl.NumberFormatOptions): string => n.toLocaleString(locale, how);
