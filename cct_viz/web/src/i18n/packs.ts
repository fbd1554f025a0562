// The packs of the languages besides English: where each one is, and how the page comes to speak it.

import { bytesOf } from "../core/arrays.ts";
import { t } from "./index.ts";
import { ENGLISH, type Language, LANGUAGES, type Pack, spoken, tagOf } from "./language.svelte.ts";

/** Where a pack is, as a host hands it out. @throws {Error} the pack cannot be had */
export type ReadPack = () => Promise<Pack>;

const KEPT = "cct-explorer-language";

/** The languages that a page offers, in the order of its menu. English needs no pack. */
export class Packs {
  readonly languages: readonly Language[];
  readonly #read: Readonly<Partial<Record<Language, ReadPack>>>;
  readonly #loaded = new Map<Language, Promise<Pack>>([["en", Promise.resolve(ENGLISH)]]);
  #wanted: Language = "en";

  constructor(read: Readonly<Partial<Record<Language, ReadPack>>>) {
    this.#read = read;
    this.languages = (Object.keys(LANGUAGES) as Language[]).filter((language) => language === "en" || read[language]);
  }

  /** The language of a visitor who has chosen none here: the one of the last visit, else the browser's. */
  get own(): Language {
    for (const tag of [kept(), ...navigator.languages]) {
      const offered = this.languages.find((language) => language === tag?.split("-")[0]);
      if (offered) return offered;
    }
    return "en";
  }

  /** Whether the pack is here already. */
  has = (language: Language): boolean => this.#loaded.has(language);

  /**
   * Speak a language once its pack is there; the page keeps the one it has until then. A later wish wins.
   * @throws {Error} the pack cannot be had
   */
  async speak(language: Language): Promise<void> {
    this.#wanted = language;
    const pack = await this.#load(language);
    if (pack.letters) await addLetters(pack.letters);
    if (this.#wanted !== language) return;
    const title = t("page.title");
    spoken.speak(language, pack);
    document.title = document.title.replace(title, t("page.title"));
    document.documentElement.lang = tagOf(language);
  }

  #load(language: Language): Promise<Pack> {
    const read = this.#read[language],
      before = this.#loaded.get(language);
    if (before) return before;
    if (!read) return Promise.reject(new Error(`there is no pack for ${language}`));
    const pack = read();
    this.#loaded.set(language, pack);
    pack.catch(() => this.#loaded.delete(language)); // so that the next choice tries again
    return pack;
  }
}

let added = false;

/** More letters for the page's font, once; a browser that takes none of them has its own. */
async function addLetters(base64: string): Promise<void> {
  if (added) return;
  added = true;
  const font = new FontFace("Inter", bytesOf(base64), { weight: "400 700" });
  document.fonts.add(font);
  await font.load().catch(() => undefined);
}

/** The language that the visitor chose last time; null: none, or the browser keeps nothing for this page. */
function kept(): string | null {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Remember the choice for the next visit, where the browser allows it. */
export function keep(language: Language): void {
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    // the address still carries the choice
  }
}
