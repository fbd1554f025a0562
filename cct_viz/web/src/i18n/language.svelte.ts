// The language of the page, and its texts. English is in the page's script; the others come in packs (packs.ts).

import en from "./en.json";
import type { ProblemKey } from "../core/problem.ts";
import problems from "./problems.en.json";

/** Code in the address -> how the language calls itself. */
export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", zh: "简体中文" } as const;
export type Language = keyof typeof LANGUAGES;

export const isLanguage = (code: string): code is Language => Object.hasOwn(LANGUAGES, code);

/** As `<html lang>` and `Intl` take it. */
export const tagOf = (language: Language): string => (language === "zh" ? "zh-Hans" : language);

/** A text, or its forms by what `Intl.PluralRules` says of {count}; "other" also stands for a form that is left out. */
export type Entry = string | Readonly<{ one?: string; other: string }>;
export type Key = keyof typeof en;

/** The texts of one language. */
export interface Pack {
  readonly texts: Readonly<Record<Key, Entry>>;
  readonly problems: Readonly<Record<ProblemKey, string>>;
  /** Names that come in English with models and pictures: "cat" -> "Katze". */
  readonly names: Readonly<Record<string, string>>;
  /** Letters that the page's own font lacks, as WOFF2 in base64. */
  readonly letters?: string;
}

export const ENGLISH: Pack = { texts: en, problems, names: {} };

class Spoken {
  #language = $state.raw<Language>("en");
  #pack = $state.raw<Pack>(ENGLISH);
  readonly rules: Intl.PluralRules = $derived(new Intl.PluralRules(tagOf(this.#language)));

  get language(): Language {
    return this.#language;
  }
  get pack(): Pack {
    return this.#pack;
  }

  /** From now on every text is in this language. */
  speak(language: Language, pack: Pack): void {
    this.#language = language;
    this.#pack = pack;
  }
}

export const spoken = new Spoken();
