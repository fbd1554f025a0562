// Every visible text by its key. A value in braces, {count}, is put in; an entry with "one" and "other" follows {count}.

import en from "./en.json";

type Entry = string | { one: string; other: string };
export type Key = keyof typeof en;
export type Values = Record<string, string | number>;

const messages: Record<string, Entry> = en;
const rules = new Intl.PluralRules("en");

/** The text of a key. @throws {Error} a key of the text has no value. */
export function t(key: Key, values: Values = {}): string {
  const entry = messages[key] as Entry;
  const text =
    typeof entry === "string" ? entry : entry[rules.select(Number(values["count"])) === "one" ? "one" : "other"];
  return text.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the text ${key} needs a value for ${name}`);
    return String(value);
  });
}

/** The text of a key that is made of parts, such as `station.${name}`; null where there is no such key. */
export const find = (key: string, values: Values = {}): string | null =>
  Object.hasOwn(messages, key) ? t(key as Key, values) : null;
