/**
 * The network with its decisions frozen at one picture, as cct_viz/methods/frozen.py: a class score as an affine
 * function of every depth.
 *
 * Freeze the attention, the pooling factors, the deviation of every LayerNorm, and the gate f(u) / u of every activation.
 * What is left is affine, so that y = <slope, x> + constant for the array x at each place. Each function here takes the
 * score back through one operation, by its transpose; the constant collects what the biases add. Source: Ali et al.
 * 2022, https://arxiv.org/abs/2202.07304, and LibraGrad (Mehri et al. 2025), https://arxiv.org/abs/2411.16760.
 */

import { dot, sum } from "../core/maths.ts";
import { add, columnsOf, matrix, type Matrix, multiply, rowsOf, transpose } from "../core/matrix.ts";
import { findActivation } from "../model/activations.ts";
import { findBlock } from "../model/blocks.ts";
import type { Layers } from "../model/layers.ts";
import type { Model } from "../model/model.ts";
import type { Vectors } from "../model/trace.ts";

/** A score as an affine function of an array x (M, D): sum_t <slope_t, x_t> + constant. */
export interface Score {
  /** (M, D) */
  readonly slope: Matrix;
  readonly constant: number;
}

/** The array (M, D) at a depth, and the score as a function of it. */
export interface Depth {
  readonly x: Matrix;
  readonly score: Score;
}

/** (M,): what each token of x adds to the score. */
export const partsOf = ({ slope }: Score, x: Matrix): Float64Array =>
  Float64Array.from({ length: slope.rows }, (_, t) => dot(rowOf(slope, t), rowOf(x, t)));

/**
 * L + 1 depths, from the pool back to the encoder's input: the representation that the pool reads, then the stream
 * before each block.
 * @param direction (K,): the score is the logits times it
 */
export function* walkBack(
  vectors: Vectors,
  attentions: Float32Array,
  { config, layers }: Pick<Model, "config" | "layers">,
  direction: ArrayLike<number>,
): Generator<Depth, void> {
  const { sequenceLength: m, numLayers, numHeads, layerNormEpsilon: epsilon } = config;
  const { embeddingDim: dim, stream, attentionOutputs } = vectors;
  const streamAt = (layer: number) => rowsOf(matrix((numLayers + 1) * m, dim, stream), layer * m, m);
  let score: Score = { slope: poolSlope(m, vectors, direction), constant: dot(layers.get("head/bias"), direction) };
  yield { x: matrix(m, dim, vectors.representation), score };
  score = beforeNorm(score, streamAt(numLayers), layers, "norm", epsilon);
  for (let layer = numLayers - 1; layer >= 0; layer--) {
    const name = `block_${layer}`;
    const x = streamAt(layer);
    const middle = add(x, rowsOf(matrix(numLayers * m, dim, attentionOutputs), layer * m, m));
    score = findBlock(config.block).splitMlp(score, {
      norm: (after) => beforeNorm(after, middle, layers, `${name}/norm_2`, epsilon),
      mlp: (after) => beforeMlp(after, layers.norm(middle, `${name}/norm_2`), config, layers, name),
      add: join,
    });
    const size = numHeads * m * m;
    let attended = beforeDense(branch(score), layers, `${name}/attention/projection`);
    attended = beforeAttention(attended, attentions.subarray(layer * size, (layer + 1) * size), numHeads);
    attended = beforeDense(attended, layers, `${name}/attention/value`);
    score = join(score, beforeNorm(attended, x, layers, `${name}/norm_1`, epsilon));
    yield { x, score };
  }
}

/** The same without the constant, which the residual connection keeps. */
const branch = ({ slope }: Score): Score => ({ slope, constant: 0 });

/** The two paths of a residual connection. */
const join = (one: Score, other: Score): Score => ({
  slope: add(one.slope, other.slope),
  constant: one.constant + other.constant,
});

/** (M, D): the pool reads f_td r_td, and the head W_dc. */
function poolSlope(
  m: number,
  { poolingFactors, readoutWeights, embeddingDim: dim }: Vectors,
  direction: ArrayLike<number>,
): Matrix {
  const k = direction.length;
  const towards = Float64Array.from({ length: dim }, (_, d) =>
    dot(readoutWeights.head.subarray(d * k, (d + 1) * k), direction),
  );
  const perChannel = poolingFactors.length === m * dim;
  const factor = (i: number) => poolingFactors[perChannel ? i : Math.floor(i / dim)];
  return matrix(
    m,
    dim,
    Float32Array.from({ length: m * dim }, (_, i) => factor(i) * towards[i % dim]),
  );
}

/** The score of x, where it is one of x kernel + bias. */
function beforeDense({ slope, constant }: Score, layers: Layers, name: string): Score {
  const kernel = layers.get(`${name}/kernel`);
  const turned = transpose(matrix(kernel.length / slope.columns, slope.columns, kernel));
  return { slope: multiply(slope, turned), constant: constant + addedBy(layers.find(`${name}/bias`), slope) };
}

/** The score of x, where it is one of gamma (x - mean x) / sigma + beta, with sigma that of `x`. */
function beforeNorm({ slope, constant }: Score, x: Matrix, layers: Layers, name: string, epsilon: number): Score {
  const gamma = layers.get(`${name}/gamma`);
  const out = matrix(slope.rows, slope.columns);
  for (let t = 0; t < slope.rows; t++) {
    const scale = 1 / deviation(rowOf(x, t), epsilon);
    const row = rowOf(slope, t).map((value, d) => value * gamma[d] * scale);
    const mean = sum(row) / row.length; // the transpose of centring is centring
    out.values.set(
      row.map((value) => value - mean),
      t * slope.columns,
    );
  }
  return { slope: out, constant: constant + addedBy(layers.get(`${name}/beta`), slope) };
}

/** The score of the values (M, A E), where it is one of sum_s A_h[t, s] values_s, head by head. */
function beforeAttention({ slope, constant }: Score, attentions: Float32Array, heads: number): Score {
  const m = slope.rows;
  const width = slope.columns / heads;
  const out = matrix(m, slope.columns);
  for (let head = 0; head < heads; head++) {
    const attended = matrix(m, m, attentions.subarray(head * m * m, (head + 1) * m * m));
    multiply(transpose(attended), columnsOf(slope, head * width, width), columnsOf(out, head * width, width));
  }
  return { slope: out, constant };
}

function beforeMlp(score: Score, x: Matrix, config: Model["config"], layers: Layers, name: string): Score {
  const hidden = layers.dense(x, `${name}/mlp_1`);
  let after = branch(score);
  if (config.mlpOutputActivation) {
    const active = findActivation(config.activation)({ ...hidden, values: hidden.values.slice() });
    after = beforeGate(after, config.activation, layers.dense(active, `${name}/mlp_2`));
  }
  after = beforeDense(after, layers, `${name}/mlp_2`);
  return beforeDense(beforeGate(after, config.activation, hidden), layers, `${name}/mlp_1`);
}

/** The score of u, where it is one of f(u), with the gate f(u) / u frozen: Phi(u) for GELU. */
function beforeGate({ slope, constant }: Score, activation: string, u: Matrix): Score {
  const active = findActivation(activation)({ ...u, values: u.values.slice() }).values;
  const gated = slope.values.map((value, i) => (u.values[i] ? (value * active[i]) / u.values[i] : value / 2));
  return { slope: matrix(slope.rows, slope.columns, gated), constant };
}

/** The square root of a row's variance plus epsilon. */
function deviation(row: Float32Array, epsilon: number): number {
  const mean = sum(row) / row.length;
  return Math.sqrt(row.reduce((total, value) => total + (value - mean) ** 2, 0) / row.length + epsilon);
}

/** What a bias (D,) adds to the score of an array with this slope. */
function addedBy(bias: Float32Array | null, slope: Matrix): number {
  let added = 0;
  if (bias) for (let t = 0; t < slope.rows; t++) added += dot(rowOf(slope, t), bias);
  return added;
}

const rowOf = (x: Matrix, t: number): Float32Array =>
  x.values.subarray(x.start + t * x.down, x.start + t * x.down + x.columns);
