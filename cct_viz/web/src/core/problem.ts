/**
 * Errors that a visitor reads. Their texts lie in one JSON file a language, apart from the page's own texts: the worker
 * carries these, not those.
 */

import en from "../i18n/problems.en.json";

export type ProblemKey = keyof typeof en;

/** An error whose message says what happened and what to do next; a value in braces, {name}, is put in. */
export function problem(key: ProblemKey, values: Readonly<Record<string, string | number>> = {}): Error {
  return new Error(
    en[key].replace(/\{(\w+)\}/g, (_, name: string) => {
      if (!(name in values)) throw new Error(`the text ${key} needs a value for ${name}`);
      return String(values[name]);
    }),
  );
}
