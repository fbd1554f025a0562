/** From what a model saw to the Trace that every drawing is made of. */

import { matrix, multiply } from "../core/matrix.ts";
import { sigmoid, softmax } from "../core/maths.ts";
import { stageGeometry } from "../picture/geometry.ts";
import type { Seen } from "./forward.ts";
import type { Model } from "./model.ts";
import { findPool, readoutOf } from "./pools.ts";
import type { Picture, ReadoutWeights, Trace } from "./trace.ts";

/** A trace without its picture: what a worker answers. */
export type Computed = Omit<Trace, keyof Picture>;

/** No array lies in the buffer of the weights' file: sent to another thread, it would take the whole file along. */
export function makeTrace(model: Pick<Model, "config" | "layers">, seen: Seen): Computed {
  const { config } = model;
  const { numTokens: n, sequenceLength: m, embeddingDim: dim, numClasses: k } = config;
  const first = m - n;
  const { factors, weights, scores } = seen.pooling;
  const readoutWeights = copyReadoutWeights(model);
  const head = matrix(dim, k, readoutWeights.head);
  const evidence = multiply(matrix(n, dim, seen.representation.subarray(first * dim)), head).values;
  const stages = stageGeometry(config);
  return {
    config,
    labels: config.labels,
    grid: config.grid,
    featureMaps: seen.featureMaps,
    stages,
    receptiveFields: stages[stages.length - 1].windows,
    vectors: {
      embeddingDim: dim,
      tokens: seen.stream.slice(first * dim, m * dim),
      stream: seen.stream,
      attentionOutputs: seen.attentionOutputs,
      mlpOutputs: seen.mlpOutputs,
      representation: seen.representation,
      poolingFactors: factors.values,
      readoutWeights,
    },
    attentions: seen.attentions,
    fused: null,
    attentionShares: attentionShares(config, seen),
    poolScores: scores,
    poolingWeights: weights,
    evidence,
    contributions: findPool(config.pool).splits ? split(seen, factors.values, evidence, head) : null,
    bias: readoutWeights.bias,
    logits: seen.logits,
    probabilities: probabilitiesOf(config.output, seen.logits),
    readout: readoutOf(factors),
  };
}

/** (K,): with "softmax" they sum to 1, with "sigmoid" each class has its own. */
export const probabilitiesOf = (output: "softmax" | "sigmoid", logits: ArrayLike<number>): Float64Array =>
  output === "sigmoid" ? sigmoid(logits) : softmax(logits);

/** (N, K) contributions: w_t e_tc where a token has one factor, else the sum of f_td r_td W_dc. */
function split(
  { representation }: Seen,
  factors: Float32Array,
  evidence: Float32Array,
  head: ReturnType<typeof matrix>,
): Float32Array {
  const n = evidence.length / head.columns;
  if (factors.length === n) return evidence.map((value, i) => value * factors[Math.floor(i / head.columns)]);
  const parts = representation.map((value, i) => value * factors[i]);
  return multiply(matrix(n, head.rows, parts), head).values;
}

function copyReadoutWeights({ config, layers }: Pick<Model, "config" | "layers">): ReadoutWeights {
  const score = layers.poolScore;
  return {
    gamma: layers.get("norm/gamma").slice(),
    beta: layers.get("norm/beta").slice(),
    epsilon: config.layerNormEpsilon,
    head: layers.get("head/kernel").slice(),
    bias: layers.get("head/bias").slice(),
    poolScore: score && { kernel: score.kernel.slice(), bias: score.bias },
    position: layers.find("sequence/position")?.slice() ?? null,
  };
}

/** (L, M): |attention output| / (|attention output| + |stream|), Euclidean norms, for each layer and token. */
function attentionShares(
  { numLayers, sequenceLength: m, embeddingDim: dim }: Model["config"],
  { attentionOutputs, stream }: Seen,
): Float32Array {
  const norm = (values: Float32Array, row: number) => {
    let total = 0;
    for (let at = row * dim; at < (row + 1) * dim; at++) total += values[at] ** 2;
    return Math.sqrt(total);
  };
  return Float32Array.from({ length: numLayers * m }, (_, row) => {
    const added = norm(attentionOutputs, row);
    const total = added + norm(stream, row); // stream has a row more at its end, after the last block
    return total > 0 ? added / total : 0;
  });
}
