/**
 * How far the class score falls without a token, removed in three ways, as cct_viz/methods/ablation.py: not pooled
 * (closed form), masked in the encoder, pixels covered (both need the model's answers).
 */

import { matrix } from "../core/matrix.ts";
import { keptRows } from "../model/forward.ts";
import { poolWith } from "../model/pooling.ts";
import { findPool, poolTokens } from "../model/pools.ts";
import type { Trace } from "../model/trace.ts";
import { type Against, contrast, contrastOf, usual } from "./contrast.ts";
import { meanColour } from "./painting.ts";

/**
 * Not pooled: (N,) logits, how far the score falls when the pool leaves a token out. Null where the score does not
 * split or where channels are needed that a server does not send. Source: ours, from SeqPool's softmax. Limit:
 * attention has already copied information from this token to the others, and it stays there.
 */
export function ablateInPool(trace: Trace, target: number, against: Against = usual(trace)): Float64Array | null {
  if (!findPool(trace.config.pool).splits) return null;
  if (trace.poolingWeights) return withoutWeight(trace, trace.poolingWeights, target, against);
  return withoutFactors(trace, target, against);
}

/** w_t / (1 - w_t) (e_t - score): the other weights are rescaled to sum to 1. */
function withoutWeight(trace: Trace, weights: Float32Array, target: number, against: Against): Float64Array {
  const evidence = contrast(trace.evidence, trace.config.numClasses, target, against);
  const score = contrastOf(trace.logits, target, against) - contrastOf(trace.bias, target, against);
  return evidence.map((own, t) => {
    // 1 - w_t as a sum of the other weights, to avoid cancellation when one token has nearly all the weight.
    const rest = weights.reduce((total, weight, s) => (s === t ? total : total + weight), 0);
    return rest > 0 ? (weights[t] / rest) * (own - score) : score;
  });
}

/** The pooled vector again without each token: with max pooling, the next largest token supplies a channel. */
function withoutFactors(trace: Trace, target: number, against: Against): Float64Array | null {
  if (!trace.vectors) return null;
  const { config } = trace;
  const { representation, embeddingDim: dim, readoutWeights } = trace.vectors;
  const r = matrix(config.numTokens, dim, representation);
  const towards = contrast(readoutWeights.head, config.numClasses, target, against); // (D,)
  const rows = keptRows(config, trace.mask ?? null);
  const score = (kept: readonly number[]) => {
    const { factors } = poolWith(config.pool, r, kept, readoutWeights.poolScore);
    return poolTokens(factors, r).values.reduce((total, value, d) => total + value * towards[d], 0);
  };
  const whole = score(rows);
  return Float64Array.from({ length: config.numTokens }, (_, t) => whole - score(rows.filter((row) => row !== t)));
}

/** (N,) logits: what the score of an untouched picture has above the score of each answer without a token. */
export const falls = (
  logits: ArrayLike<number>,
  without: readonly (ArrayLike<number> | null)[],
  target: number,
  against: Against,
): Float64Array =>
  Float64Array.from(without, (answer) =>
    answer ? contrastOf(logits, target, against) - contrastOf(answer, target, against) : 0,
  );

export type Cover = "black" | "mean";

/**
 * (H, W, 3): the picture with boxes painted over in black or in its mean colour. Limit: the paint itself is new
 * information for the model.
 * @param boxes (n, 4): y0 x0 y1 x1, end exclusive, as in `receptiveFields`
 */
export function coverBoxes(
  pixels: Uint8Array,
  [, width]: readonly [number, number],
  boxes: ArrayLike<number>,
  cover: Cover,
): Uint8Array {
  const colour = cover === "black" ? [0, 0, 0] : meanColour(pixels);
  const covered = pixels.slice();
  for (let i = 0; i < boxes.length; i += 4) {
    for (let y = boxes[i]; y < boxes[i + 2]; y++) {
      for (let x = boxes[i + 1]; x < boxes[i + 3]; x++) covered.set(colour, 3 * (y * width + x));
    }
  }
  return covered;
}
