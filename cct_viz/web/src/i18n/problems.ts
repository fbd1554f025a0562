// What a visitor reads of an error, in the page's language.

import { fillProblem, Problem } from "../core/problem.ts";
import { spoken } from "./language.svelte.ts";

/** An error in words; one that is no `Problem`, as of a browser or a server, has its own. */
export function problemText(error: unknown): string {
  if (error instanceof Problem)
    return fillProblem(error.key, spoken.pack.problems[error.key], error.values, problemText);
  return error instanceof Error ? error.message : String(error);
}

/** The same as a sentence, with a capital and a full stop. */
export function problemSentence(error: unknown): string {
  const text = problemText(error).replace(/[.。]$/, "");
  const stop = spoken.language === "zh" ? "。" : ".";
  return text.replace(/^\p{Ll}(?=\p{Ll}* )/u, (letter) => letter.toUpperCase()) + stop; // but not photo.jpg
}
