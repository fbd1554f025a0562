/**
 * The inside of attention, from the stream and the layer's weights: query, key and value of a token, their products,
 * and what attention adds. Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
 */

import { columnsOf, matrix, type Matrix, rowsOf } from "../core/matrix.ts";
import type { Model } from "../model/model.ts";
import type { Trace } from "../model/trace.ts";

/** One head of one layer; all rows are tokens of the encoder, a class token first. */
export interface OpenHead {
  /** (M, E) each. */
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
}

/** Null where the stream is not known. */
export function openHead(trace: Trace, model: Model, layer: number, head: number): OpenHead | null {
  if (!trace.vectors) return null;
  const { keyDim, sequenceLength: m, embeddingDim: dim, numLayers } = model.config;
  const stream = rowsOf(matrix((numLayers + 1) * m, dim, trace.vectors.stream), layer * m, m);
  const normed = model.layers.norm(stream, `block_${layer}/norm_1`);
  const part = (name: string) =>
    columnsOf(model.layers.dense(normed, `block_${layer}/attention/${name}`), head * keyDim, keyDim);
  return { query: part("query"), key: part("key"), value: part("value") };
}

/** (E,): a row of a matrix, copied. */
export const rowOf = (x: Matrix, row: number): Float32Array =>
  x.values.slice(x.start + row * x.down, x.start + row * x.down + x.columns);

/** What a query and a key give: the products of their entries, and the score, their sum over sqrt(E). */
export function compare(query: Float32Array, key: Float32Array): { products: Float64Array; score: number } {
  const products = Float64Array.from(query, (value, i) => value * key[i]);
  return { products, score: products.reduce((a, b) => a + b, 0) / Math.sqrt(query.length) };
}

/** (M,): the scores of one query with every key, before the softmax. */
export const scoresOf = ({ query, key }: OpenHead, row: number): Float64Array =>
  Float64Array.from({ length: key.rows }, (_, at) => compare(rowOf(query, row), rowOf(key, at)).score);

/** (E,): the values of all tokens, weighted by the attention (M,) of one query. */
export function collect({ value }: OpenHead, attention: ArrayLike<number>): Float64Array {
  const out = new Float64Array(value.columns);
  for (let t = 0; t < value.rows; t++) {
    const row = value.start + t * value.down;
    for (let e = 0; e < out.length; e++) out[e] += attention[t] * value.values[row + e];
  }
  return out;
}

/** The lengths (Euclidean norms) of a token's vectors around one block. */
export interface ResidualStep {
  readonly before: number;
  readonly attention: number;
  readonly mlp: number;
  readonly after: number;
}

/** @param row of the encoder's arrays */
export function residualStep(trace: Trace, layer: number, row: number): ResidualStep | null {
  if (!trace.vectors) return null;
  const { embeddingDim: dim, stream, attentionOutputs, mlpOutputs } = trace.vectors;
  const m = trace.config.sequenceLength;
  const norm = (values: Float32Array, index: number) =>
    Math.hypot(...values.subarray((index * m + row) * dim, (index * m + row + 1) * dim));
  return {
    before: norm(stream, layer),
    attention: norm(attentionOutputs, layer),
    mlp: norm(mlpOutputs, layer),
    after: norm(stream, layer + 1),
  };
}
