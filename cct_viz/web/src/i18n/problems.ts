// What a visitor reads of an error, in the page's language.

import { fill } from "../core/fill.ts";
import { Problem, type ProblemValue } from "../core/problem.ts";
import { spoken } from "./language.svelte.ts";
import { fixed } from "./numbers.ts";

/** An error in words; one that is no `Problem`, as of a browser or a server, has its own. */
export function problemText(error: unknown): string {
  if (error instanceof Problem) return fill(error.key, spoken.pack.problems[error.key], error.values, valueText);
  return error instanceof Error ? error.message : String(error);
}

function valueText(value: ProblemValue): string {
  if (value instanceof Problem) return problemText(value);
  return Number.isInteger(value) || typeof value === "string" ? String(value) : fixed(value, 1);
}

/** The same as a sentence, with a capital and a full stop. */
export function problemSentence(error: unknown): string {
  const text = problemText(error).replace(/[.。]$/, "");
  const stop = spoken.language === "zh" ? "。" : ".";
  return text.replace(/^\p{Ll}(?=\p{Ll}* )/u, (letter) => letter.toUpperCase()) + stop; // but not photo.jpg
}
