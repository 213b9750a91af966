// Which language the page speaks: the one that was chosen, or the first of the reader's that there is. Any but English is
// a file of its own, and is here before anything is drawn, so that nothing is said in one language and then in another.

import { locale, setLocale, translate } from "../strings/spoken.ts";
import type { Language } from "../strings/words.ts";
import { keptChoice } from "./looks.ts";

/** words: where they are not built in. */
type File = { readonly dir: "ltr" | "rtl"; readonly words?: Language };

const files: Readonly<Record<string, () => File | Promise<File>>> = {
  en: () => ({ dir: "ltr" }),
  de: () => import("../strings/de.ts"),
  ar: () => import("../strings/ar.ts"),
};

/** It never fails: where none can be had it is English. */
export async function speakLanguage(): Promise<void> {
  for (const tag of [keptChoice("language"), ...navigator.languages]) {
    try {
      const { dir, words } = await (files[tag.split("-")[0] as string] as () => File | Promise<File>)();
      setLocale(tag);
      translate({}, words);
      document.dir = dir;
      break;
    } catch {
      // There is none such, its file did not come, or the tag is none: some browsers name languages as their systems do.
    }
  }
  document.documentElement.lang = locale;
}
