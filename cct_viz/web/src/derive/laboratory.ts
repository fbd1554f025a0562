/**
 * The pooling laboratory: the same tokens with other pooling weights, as cct_viz/methods/laboratory.py. The head is
 * linear, so no forward pass is needed. Limit: a model trained with such a pool would have learned other tokens.
 */

import { argmax, softmax, sum } from "../core/maths.ts";
import { shuffle } from "../core/random.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Trace } from "../model/trace.ts";

/** A choice of pooling weights. */
export type Pooling =
  | { readonly kind: "model" | "mean" | "top" }
  /** softmax(beta s): 1 is the model, 0 the mean. */
  | { readonly kind: "beta"; readonly beta: number }
  /** The model's own weights at other tokens. */
  | { readonly kind: "shuffled"; readonly seed: number }
  /** (N,) weights >= 0: painted by hand, or the mean over a data set. */
  | { readonly kind: "given"; readonly weights: ArrayLike<number> };

export interface Pooled {
  /** (N,), summing to 1, or 0 everywhere where no token is left with any. */
  readonly weights: Float64Array;
  /** (K,) */
  readonly logits: Float64Array;
  readonly probabilities: Float64Array;
}

/** Whether a choice says something about this model: its pool has weights, and scores where they are needed. */
export function applies(trace: Trace, pooling: Pooling): boolean {
  if (!trace.poolingWeights) return false;
  if (pooling.kind === "given") return pooling.weights.length === trace.config.numTokens;
  return pooling.kind === "model" || trace.poolScores !== null;
}

/**
 * The answer with other weights; null for a pool without weights.
 * @param dropped tokens that are taken out of the pool; the other weights are scaled to sum to 1
 */
export function poolWith(trace: Trace, pooling: Pooling, dropped: ReadonlySet<number> = new Set()): Pooled | null {
  if (!trace.poolingWeights || !applies(trace, pooling)) return null;
  const chosen = weigh(trace, trace.poolingWeights, pooling, dropped);
  for (const token of dropped) chosen[token] = 0;
  const total = sum(chosen);
  const isModel = pooling.kind === "model" && !dropped.size;
  const weights = total > 0 && !isModel ? chosen.map((weight) => weight / total) : chosen;
  const logits = isModel ? Float64Array.from(trace.logits) : poolEvidence(weights, trace.evidence, trace.bias);
  return { weights, logits, probabilities: probabilitiesOf(trace.config.output, logits) };
}

/** The trace with such weights in its pool, and all that follows from them; where no token is left, that is the bias. */
export function withPool(trace: Trace, pooled: Pooled): Trace {
  const { evidence, vectors, config } = trace,
    weights = Float32Array.from(pooled.weights);
  return {
    ...trace,
    isRepooled: true,
    poolScores: null, // the weights no longer follow from them
    poolingWeights: weights,
    readout: weights,
    contributions: evidence.map((value, i) => value * weights[Math.floor(i / config.numClasses)]),
    logits: Float32Array.from(pooled.logits),
    probabilities: pooled.probabilities,
    computed: [],
    vectors: vectors && {
      ...vectors,
      poolingFactors: weights,
      readoutWeights: { ...vectors.readoutWeights, poolScore: null },
    },
  };
}

function weigh(trace: Trace, own: Float32Array, pooling: Pooling, dropped: ReadonlySet<number>): Float64Array {
  const n = own.length;
  switch (pooling.kind) {
    case "model":
      return Float64Array.from(own);
    case "mean":
      return new Float64Array(n).fill(1);
    case "top":
      return new Float64Array(n).fill(1, topToken(own, dropped), topToken(own, dropped) + 1);
    case "beta":
      return softmax(trace.poolScores ?? own, pooling.beta);
    case "shuffled":
      return shuffle(own, pooling.seed);
    case "given":
      return Float64Array.from(pooling.weights);
  }
}

/** The token with the largest weight, of those that are not taken out. */
export const topToken = (weights: Float32Array, dropped: ReadonlySet<number> = new Set()): number =>
  argmax(weights.map((weight, t) => (dropped.has(t) ? -1 : weight)));

/** (K,) logits: y_c = b_c + sum_t w_t e_tc. */
export function poolEvidence(
  weights: ArrayLike<number>,
  evidence: ArrayLike<number>,
  bias: ArrayLike<number>,
): Float64Array {
  const k = bias.length;
  const logits = Float64Array.from(bias);
  for (let t = 0; t < weights.length; t++) {
    for (let c = 0; c < k; c++) logits[c] += weights[t] * evidence[t * k + c];
  }
  return logits;
}

/** The lowest and the highest logit of each class that any weights can reach: (K,) each. */
export function reach({ evidence, bias, config }: Trace): { low: Float64Array; high: Float64Array } {
  const k = config.numClasses;
  const low = new Float64Array(k).fill(Infinity);
  const high = new Float64Array(k).fill(-Infinity);
  evidence.forEach((value, i) => {
    const c = i % k;
    low[c] = Math.min(low[c], value + bias[c]);
    high[c] = Math.max(high[c], value + bias[c]);
  });
  return { low, high };
}
