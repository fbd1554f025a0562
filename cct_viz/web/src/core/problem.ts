/**
 * Errors that a visitor reads. Their texts lie in one JSON file a language, apart from the page's own texts: the worker
 * carries the English ones, and the page says them in its language (i18n/problems.ts).
 */

import { fill } from "./fill.ts";
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
    super(fill(key, en[key], values, (part) => (part instanceof Problem ? part.message : String(part))));
    this.key = key;
    this.values = values;
  }
}

export const problem = (key: ProblemKey, values: ProblemValues = {}): Problem => new Problem(key, values);

/** Whether a job was ended because something newer came. */
export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";
