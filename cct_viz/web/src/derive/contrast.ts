/** Class scores in a table of tokens and classes, as cct_viz/methods/pooling.py has them. */

import { dot, maximum, mean, minimum } from "../core/maths.ts";
import type { Trace } from "../model/trace.ts";

/** What a class is held against: another class, the mean of all classes, or nothing (null). */
export type Against = number | "mean" | null;

/** What a class is held against unless a choice is made: the mean of all classes; nothing where classes are independent. */
export const usual = (trace: Trace): Against => (trace.config.output === "sigmoid" ? null : "mean");

/**
 * (N,) logits: the column `target` of an (N, K) table, less what it is held against. A shift common to all classes,
 * which softmax ignores, does not change a contrast.
 */
export function contrast(table: ArrayLike<number>, k: number, target: number, against: Against = null): Float64Array {
  return Float64Array.from({ length: table.length / k }, (_, t) => {
    return table[t * k + target] - baseline(table, t * k, k, against);
  });
}

/** The same of one (K,) list. */
export const contrastOf = (scores: ArrayLike<number>, target: number, against: Against = null): number =>
  scores[target] - baseline(scores, 0, scores.length, against);

function baseline(values: ArrayLike<number>, from: number, k: number, against: Against): number {
  if (against === null) return 0;
  if (against !== "mean") return values[from + against];
  let total = 0;
  for (let c = 0; c < k; c++) total += values[from + c];
  return total / k;
}

/** (N,) logits: how much each token favours the class, before the pooling weights. */
export const evidence = (trace: Trace, target: number, against: Against = null): Float64Array =>
  contrast(trace.evidence, trace.config.numClasses, target, against);

/**
 * (N,) logits: what each token adds to the class score; with the bias they sum to it. Null with a class token, where
 * scores do not split. Limit: contributions are not causes, because attention has already mixed the tokens.
 */
export const contribution = (trace: Trace, target: number, against: Against = null): Float64Array | null =>
  trace.contributions && contrast(trace.contributions, trace.config.numClasses, target, against);

/**
 * The share, 0 to 1, of the variance of a class's contributions over the tokens that the pooling weights explain: their
 * squared correlation. From 0.9 on, contribution is the map of the weights in another colour, and the input split tells
 * more. Null where either is the same for all tokens, or there are no weights.
 */
export function weightsExplain(trace: Trace, target: number): number | null {
  const parts = contribution(trace, target, usual(trace));
  const { poolingWeights: weights } = trace;
  if (!parts || !weights || extentOf(parts) === 0 || extentOf(weights) === 0) return null;
  const [c, w] = [parts, weights].map((values) => Float64Array.from(values, (value) => value - mean(values)));
  return dot(c, w) ** 2 / (dot(c, c) * dot(w, w));
}

const extentOf = (values: Float64Array | Float32Array): number => maximum(values) - minimum(values);

/** (N, K) logits: evidence above what the mean class has. */
export function centred(table: ArrayLike<number>, k: number): Float64Array {
  return Float64Array.from(table, (value, i) => value - baseline(table, i - (i % k), k, "mean"));
}
