// What an answer is worth, as far as the picture's label tells.

import { argmax } from "./maths.ts";

/** "other": nobody labelled the picture, or it shows no class of the model. */
export const VERDICTS = ["right", "unsure", "wrong", "other"] as const;
/** "unnamed": the model's classes are numbered, so nobody can tell. */
export type Verdict = (typeof VERDICTS)[number] | "unnamed";

/** A right answer below this probability counts as unsure. */
export const SURE = 0.6;

/** Whether the classes have the names of numbered_labels in Python: a file of weights seldom names them. */
export const areNumbered = (labels: readonly string[]): boolean => labels.every((label, i) => label === `class ${i}`);

/** @param probabilities (K,) @param truth the index of the picture's class, or null @param labels the K classes */
export function verdictOf(probabilities: ArrayLike<number>, truth: number | null, labels: readonly string[]): Verdict {
  if (truth === null) return areNumbered(labels) ? "unnamed" : "other";
  const best = argmax(probabilities);
  if (best !== truth) return "wrong";
  return probabilities[best] >= SURE ? "right" : "unsure";
}
