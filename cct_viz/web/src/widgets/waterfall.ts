// A running sum, step by step.

import { descending } from "../core/maths.ts";

export interface SumStep {
  readonly token: number;
  readonly from: number;
  readonly to: number;
}

/** From `start` over the parts, the largest first. */
export function stepsOf(parts: ArrayLike<number>, start: number): SumStep[] {
  let sum = start;
  return descending(parts).map((token) => {
    const from = sum;
    sum += parts[token];
    return { token, from, to: sum };
  });
}
