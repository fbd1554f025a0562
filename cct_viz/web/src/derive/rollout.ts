/**
 * Attention rollout: which input tokens the readout attends to, followed back through all layers, as
 * cct_viz/methods/attention.py. Abar_l = (1 - alpha) I + alpha A_l with the heads fused; p^0 = the model's own readout,
 * p^k = p^(k-1) Abar_(L-k+1). Source: Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928. Limit: rollout ignores
 * the classifier, so the map is the same for every class and has no sign.
 */

import { timesMatrix } from "../core/maths.ts";
import type { Fusion, Trace } from "../model/trace.ts";
import { attentionMatrix } from "./attention.ts";
import { contribution, usual } from "./contrast.ts";

/** The share of attention against the residual connection: 0 to 1, or as measured for each token and layer. */
export type Alpha = number | "measured";

export interface RolloutOptions {
  readonly fusion?: Fusion;
  readonly alpha?: Alpha;
}

/** L + 1 rows (M,), each summing to 1: the readout, then walked back through one layer more each. */
export function rollout(trace: Trace, { fusion = "mean", alpha = 0.5 }: RolloutOptions = {}): Float64Array[] {
  const steps: Float64Array[] = [Float64Array.from(trace.readout)];
  for (let layer = trace.config.numLayers - 1; layer >= 0; layer--) {
    steps.push(mixThrough(trace, steps[steps.length - 1], layer, fusion, alpha));
  }
  return steps;
}

/**
 * Contribution rollout: (N,) logits against the mean class, the contributions followed back through attention to the
 * input. It has the same sum as the contributions. Null with a class token. Source: ours. Limit: it follows which
 * tokens attend to which, not how the values and the MLPs change a token.
 */
export function contributionRollout(
  trace: Trace,
  target: number,
  { fusion = "mean", alpha = "measured" }: RolloutOptions = {},
): Float64Array | null {
  let row = contribution(trace, target, usual(trace));
  for (let layer = trace.config.numLayers - 1; row && layer >= 0; layer--) {
    row = mixThrough(trace, row, layer, fusion, alpha);
  }
  return row;
}

/** (M,): alpha of each token at a layer. */
export function attentionShares(trace: Trace, layer: number, alpha: Alpha): Float32Array {
  const m = trace.config.sequenceLength;
  if (alpha === "measured") return trace.attentionShares.subarray(layer * m, (layer + 1) * m);
  return new Float32Array(m).fill(alpha);
}

/** A row (M,) times Abar of a layer. */
function mixThrough(trace: Trace, row: Float64Array, layer: number, fusion: Fusion, alpha: Alpha): Float64Array {
  const shares = attentionShares(trace, layer, alpha);
  const attended = timesMatrix(
    row.map((value, i) => value * shares[i]),
    attentionMatrix(trace, layer, null, fusion),
  );
  return attended.map((value, i) => value + row[i] * (1 - shares[i]));
}
