/**
 * How the prediction forms over depth, as cct_viz/methods/depth.py: the logit lens applies the final norm, the pool and
 * the head to the residual stream after the tokenizer and after each block. Source: nostalgebraist 2020, the logit
 * lens, with the model's own pool for the last token. Limit: the head was trained on the last depth only, so earlier
 * values are heuristic.
 */

import { argmax } from "../core/maths.ts";
import { addToRows, layerNorm, matrix, type Matrix, multiply, rowsOf } from "../core/matrix.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import { keptRows } from "../model/forward.ts";
import { poolWith } from "../model/pooling.ts";
import { findPool, poolTokens, readoutOf } from "../model/pools.ts";
import type { Trace, Vectors } from "../model/trace.ts";
import { type Against, contrast, usual } from "./contrast.ts";

/** What the model would answer if the encoder ended at a depth. */
export interface Depth {
  /** (M,), summing to 1. */
  readonly readout: Float32Array;
  /** (N,) or null, as in Trace. */
  readonly poolingWeights: Float32Array | null;
  /** (N, K) logits, without the bias. */
  readonly evidence: Float32Array;
  /** (N, K) logits; null with a class token. */
  readonly contributions: Float32Array | null;
  /** (K,) */
  readonly logits: Float32Array;
  readonly probabilities: Float64Array;
  /** (N,) the class that each image token alone would predict: argmax_c(e_tc + b_c). */
  readonly votes: Int32Array;
}

const kept = new WeakMap<Trace, Depth[]>();

/**
 * L + 1 depths: after the tokenizer, then after each block; the last is the model. Null where the stream is not known.
 */
export function readLens(trace: Trace): readonly Depth[] | null {
  if (!trace.vectors) return null;
  let depths = kept.get(trace);
  if (!depths) {
    const { vectors } = trace;
    depths = Array.from({ length: trace.config.numLayers + 1 }, (_, depth) => readEarly(trace, vectors, depth));
    kept.set(trace, depths);
  }
  return depths;
}

/** L + 1 maps (N,), logits: what each token would contribute to the class if the encoder ended there. */
export function logitLens(trace: Trace, target: number, against: Against = usual(trace)): Float64Array[] | null {
  const depths = readLens(trace);
  if (!depths || !findPool(trace.config.pool).splits) return null;
  return depths.map(({ contributions }) =>
    contrast(contributions ?? new Float32Array(), trace.config.numClasses, target, against),
  );
}

interface Tokens {
  /** (M, D), the representation at a depth. */
  readonly r: Matrix;
  /** (N, K) */
  readonly evidence: Float32Array;
}

/** By the stream, one a depth: another pool changes neither. */
const tokens = new WeakMap<Float32Array, Tokens[]>();

function beforePool({ config }: Trace, vectors: Vectors, depth: number, head: Matrix): Tokens {
  const { sequenceLength: m, numTokens: n, numLayers } = config,
    { embeddingDim: dim, readoutWeights: weights } = vectors;
  const depths = tokens.get(vectors.stream) ?? [];
  tokens.set(vectors.stream, depths);
  const read = (): Tokens => {
    const stream = rowsOf(matrix((numLayers + 1) * m, dim, vectors.stream), depth * m, m),
      r = layerNorm(stream, weights.gamma, weights.beta, weights.epsilon);
    return { r, evidence: multiply(rowsOf(r, m - n, n), head).values };
  };
  return (depths[depth] ??= read());
}

function readEarly(trace: Trace, vectors: Vectors, depth: number): Depth {
  const { config } = trace;
  const { embeddingDim: dim, readoutWeights: weights } = vectors;
  const { sequenceLength: m, numTokens: n, numClasses: k } = config;
  const pool = findPool(config.pool);
  const head = matrix(dim, k, weights.head);
  const { r, evidence } = beforePool(trace, vectors, depth, head);
  const { factors, weights: poolingWeights } = trace.isRepooled
    ? { factors: matrix(m, 1, vectors.poolingFactors), weights: trace.poolingWeights }
    : poolWith(config.pool, r, keptRows(config, trace.mask ?? null), weights.poolScore);
  const logits = addToRows(multiply(poolTokens(factors, r), head), weights.bias).values;
  const ownScores = (t: number) => weights.bias.map((bias, c) => bias + evidence[t * k + c]);
  return {
    readout: readoutOf(factors),
    poolingWeights,
    evidence,
    contributions: pool.splits ? split(r, factors, evidence, head) : null,
    logits,
    probabilities: probabilitiesOf(config.output, logits),
    votes: Int32Array.from({ length: n }, (_, t) => argmax(ownScores(t))),
  };
}

function split(r: Matrix, factors: Matrix, evidence: Float32Array, head: Matrix): Float32Array {
  if (factors.columns === 1) return evidence.map((value, i) => value * factors.values[Math.floor(i / head.columns)]);
  return multiply(
    matrix(
      r.rows,
      r.columns,
      r.values.map((value, i) => value * factors.values[i]),
    ),
    head,
  ).values;
}
