// What an answer is worth, as far as the picture's label tells.

import { argmax } from "./maths.ts";

/** "other": nobody labelled the picture, or it shows no class of the model. */
export const VERDICTS = ["right", "unsure", "wrong", "other"] as const;
export type Verdict = (typeof VERDICTS)[number];

/** A right answer below this probability counts as unsure. */
export const SURE = 0.6;

/** @param probabilities (K,) @param truth the index of the picture's class, or null */
export function verdictOf(probabilities: ArrayLike<number>, truth: number | null): Verdict {
  if (truth === null) return "other";
  const best = argmax(probabilities);
  if (best !== truth) return "wrong";
  return probabilities[best] >= SURE ? "right" : "unsure";
}
