// Every visible text by its key, in the page's language. A value in braces, {count}, is put in; an entry with "one" and
// "other" follows {count}. What reads a text is drawn again when the language changes.

import { fill } from "../core/fill.ts";
import { type Entry, type Key, spoken } from "./language.svelte.ts";

export type Values = Readonly<Record<string, string | number>>;

const formOf = (entry: Entry, count: number): string =>
  typeof entry === "string"
    ? entry
    : ((entry as Record<string, string | undefined>)[spoken.rules.select(count)] ?? entry.other);

/** The text of a key. @throws {Error} a key of the text has no value. */
export const t = (key: Key, values: Values = {}): string =>
  fill(key, formOf(spoken.pack.texts[key], Number(values["count"])), values);

/** The text of a key that is made of parts, such as `station.${name}`; null where there is no such key. */
export const find = (key: string, values: Values = {}): string | null =>
  Object.hasOwn(spoken.pack.texts, key) ? t(key as Key, values) : null;
