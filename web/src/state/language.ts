// Which language the page speaks: the one that was chosen, or the first of the reader's that there is. Any but English is
// a file of its own, and is here before anything is drawn, so that nothing is said in one language and then in another.

import { locale, setLocale, speak } from "../strings/spoken.ts";
import type { Language } from "../strings/words.ts";
import { keptChoice } from "./looks.ts";

type File = { readonly words: Language | Pick<Language, "dir"> };

const files: Readonly<Record<string, () => File | Promise<File>>> = {
  en: () => ({ words: { dir: "ltr" } }),
  de: () => import("../strings/de.ts"),
  ar: () => import("../strings/ar.ts"),
};

/** It never fails: what cannot be had is English. */
export async function speakLanguage(): Promise<void> {
  try {
    for (const tag of [keptChoice("language"), ...navigator.languages]) {
      const name = tag.split("-")[0] as string;
      if (!Object.hasOwn(files, name)) continue;
      // Not all tags are valid: some browsers name languages as their systems do.
      setLocale(tag);
      const { words } = await (files[name] as () => File | Promise<File>)();
      speak(words);
      document.dir = words.dir;
      break;
    }
  } catch {
    setLocale("en");
  }
  document.documentElement.lang = locale;
}
