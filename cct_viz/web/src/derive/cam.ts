/**
 * Class activation maps on the encoder's last tokens, for comparison with other tools, as cct_viz/methods/cam.py. Only
 * a pool and a linear head come after these tokens, so the gradient has a closed form.
 */

import { sum } from "../core/maths.ts";
import { findPool } from "../model/pools.ts";
import type { Trace } from "../model/trace.ts";
import { contrast } from "./contrast.ts";

/**
 * Grad-CAM: (N,) shares, the positive evidence. Grad-CAM weights the channels of the last tokens by their mean gradient,
 * which is W_c / N for every pool: the pooling factors sum to 1 over the tokens, and what SeqPool's weights add to the
 * gradient sums to 0. Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391; the theorem is ours. Limit: the
 * map does not sum to the score. Null where the map is not defined.
 */
export function gradCam(trace: Trace, target: number): Float64Array | null {
  if (!findPool(trace.config.pool).splits) return null;
  const positive = contrast(trace.evidence, trace.config.numClasses, target).map((value) => Math.max(value, 0));
  const total = sum(positive);
  return total > 0 ? positive.map((value) => value / total) : positive;
}

/**
 * HiResCAM: (N,) logits, each of the last tokens times its own gradient. With SeqPool it sums to the score plus the
 * effect of the tokens on the pooling weights. Source: Draelos and Carin 2020, https://arxiv.org/abs/2011.08891. Limit:
 * maps of two classes cannot be compared, because a shift common to all classes changes the map. Null where it is not
 * defined.
 */
export function hiresCam(trace: Trace, target: number): Float64Array | null {
  const gradient = representationGradient(trace, target);
  if (!gradient || !trace.vectors) return null;
  const { embeddingDim: dim, representation } = trace.vectors;
  const row = new Float64Array(trace.config.numTokens);
  gradient.forEach((value, i) => (row[Math.floor(i / dim)] += representation[i] * value));
  return row;
}

/**
 * (N, D): the gradient of the class score by each token's representation, f_td W_dc; weights that are the softmax of a
 * score depend on the token too, which adds w_t (e_tc - sum_s w_s e_sc) a.
 */
function representationGradient(trace: Trace, target: number): Float64Array | null {
  const { vectors, config, poolingWeights } = trace;
  if (!vectors || !findPool(config.pool).splits) return null;
  const { embeddingDim: dim, poolingFactors, readoutWeights } = vectors;
  const { numTokens: n, numClasses: k } = config;
  const perChannel = poolingFactors.length === n * dim;
  const gradient = Float64Array.from({ length: n * dim }, (_, i) => {
    return poolingFactors[perChannel ? i : Math.floor(i / dim)] * readoutWeights.head[(i % dim) * k + target];
  });
  const score = readoutWeights.poolScore;
  if (poolingWeights && score) {
    const own = contrast(trace.evidence, k, target);
    const pooled = own.reduce((total, value, t) => total + poolingWeights[t] * value, 0);
    for (let i = 0; i < n * dim; i++) {
      const t = Math.floor(i / dim);
      gradient[i] += poolingWeights[t] * (own[t] - pooled) * score.kernel[i % dim];
    }
  }
  return gradient;
}
