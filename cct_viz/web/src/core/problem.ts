/**
 * Errors that a visitor reads. Their texts lie in one JSON file a language, apart from the page's own texts: the worker
 * carries the English ones, and the page says them in its language (i18n/problems.ts).
 */

import en from "../i18n/problems.en.json";

export type ProblemKey = keyof typeof en;
/** What a text puts in; a problem as a value is a part of the sentence. */
export type ProblemValue = string | number | Problem;
export type ProblemValues = Readonly<Record<string, ProblemValue>>;

/** An error whose message says what happened and what to do next. */
export class Problem extends Error {
  readonly key: ProblemKey;
  readonly values: ProblemValues;

  constructor(key: ProblemKey, values: ProblemValues = {}) {
    super(fillProblem(key, en[key], values, (part) => part.message));
    this.key = key;
    this.values = values;
  }
}

export const problem = (key: ProblemKey, values: ProblemValues = {}): Problem => new Problem(key, values);

/** A problem's text; a value in braces, {name}, is put in. @throws {Error} a value is missing */
export const fillProblem = (
  key: ProblemKey,
  text: string,
  values: ProblemValues,
  say: (part: Problem) => string,
): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`the text ${key} needs a value for ${name}`);
    return value instanceof Problem ? say(value) : String(value);
  });
