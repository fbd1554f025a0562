/**
 * Direct logit attribution: every class score as a sum over the parts of the model, as cct_viz/methods/depth.py.
 *
 * The residual stream before the final norm is the sum of the parts' outputs. With the norm's statistics fixed, the
 * score splits exactly. The official block replaces the stream by the output of its second norm, so there the split
 * starts after the last one. Source: Elhage et al. 2021, https://transformer-circuits.pub/2021/framework, and
 * Gandelsman et al. 2024, https://arxiv.org/abs/2310.05916. Limit: it does not show what a part would output if another
 * part were removed.
 */

import { sum } from "../core/maths.ts";
import { columnsOf, layerNorm, matrix, multiply, rowsOf } from "../core/matrix.ts";
import { findBlock } from "../model/blocks.ts";
import type { Layers } from "../model/layers.ts";
import { findPool } from "../model/pools.ts";
import type { Trace, Vectors } from "../model/trace.ts";
import { type Against, contrastOf, usual } from "./contrast.ts";

/** A part of the model; layers and heads are counted from 0. */
export type Part =
  | { readonly kind: "constants" | "tokenizer" | "classToken" | "position" }
  | { readonly kind: "attention" | "mlp" | "before"; readonly layer: number }
  | { readonly kind: "head"; readonly layer: number; readonly head: number };

export interface Attribution {
  readonly part: Part;
  /** (K,) logits; over all parts they sum to the model's logits. */
  readonly logits: Float64Array;
  /** (M, K) logits by token; null for the constants, which belong to no token. */
  readonly byToken: Float64Array | null;
}

/**
 * Constants first, then the parts in the order of the model. Null where the stream is not known.
 * @param layers the model's layers; with them each attention is split into its heads, and the bias of its projection
 *   goes to the constants. The official block's split starts after all attentions, so there they change nothing.
 */
export function attributeLogits(trace: Trace, layers: Layers | null = null): Attribution[] | null {
  const { vectors, config } = trace;
  if (!vectors) return null;
  const { parts, biases } = splitStream(trace, vectors, layers);
  const reading = readingWeights(trace, vectors);
  const attributions = parts.map(({ part, output }): Attribution => {
    const byToken = throughHead(output, reading, vectors, config.numClasses);
    return { part, byToken, logits: columnSums(byToken, config.numClasses) };
  });
  const constants = constantsOf(trace, vectors);
  if (biases) {
    const added = columnSums(throughHead(biases, reading, vectors, config.numClasses), config.numClasses);
    added.forEach((value, c) => (constants[c] += value));
  }
  return [{ part: { kind: "constants" }, logits: constants, byToken: null }, ...attributions];
}

/**
 * P maps (N,), logits: what each part but the constants adds to the class at each token. Null where there are no maps.
 */
export function directLogitAttribution(
  trace: Trace,
  target: number,
  against: Against = usual(trace),
): { part: Part; map: Float64Array }[] | null {
  const attributions = findPool(trace.config.pool).splits ? attributeLogits(trace) : null;
  const k = trace.config.numClasses;
  return (
    attributions?.flatMap(({ part, byToken }) => {
      if (!byToken) return [];
      const rows = Array.from({ length: byToken.length / k }, (_, t) => byToken.subarray(t * k, (t + 1) * k));
      return [{ part, map: Float64Array.from(rows, (row) => contrastOf(row, target, against)) }];
    }) ?? null
  );
}

interface Output {
  readonly part: Part;
  /** (M, D), what the part writes to the stream. */
  readonly output: ArrayLike<number>;
}

/** The parts' outputs, which with the biases (M, D) sum to the stream before the final norm. */
function splitStream(
  trace: Trace,
  vectors: Vectors,
  layers: Layers | null,
): { parts: Output[]; biases: Float64Array | null } {
  const { numLayers, sequenceLength: m } = trace.config;
  const size = m * vectors.embeddingDim;
  const at = (values: Float32Array, i: number) => values.subarray(i * size, (i + 1) * size);
  const last = at(vectors.stream, numLayers);
  if (findBlock(trace.config.block).overwritesStream) {
    const layer = numLayers - 1;
    const mlp = at(vectors.mlpOutputs, layer);
    const before = Float64Array.from(last, (value, i) => value - mlp[i]);
    return {
      parts: [
        { part: { kind: "before", layer }, output: before },
        { part: { kind: "mlp", layer }, output: mlp },
      ],
      biases: null,
    };
  }
  const parts = inputParts(trace, vectors, at(vectors.stream, 0));
  const biases = layers && new Float64Array(size);
  for (let layer = 0; layer < numLayers; layer++) {
    if (layers && biases) {
      parts.push(...headOutputs(trace, vectors, layer, layers));
      const bias = layers.get(`block_${layer}/attention/projection/bias`);
      for (let i = 0; i < size; i++) biases[i] += bias[i % bias.length];
    } else {
      parts.push({ part: { kind: "attention", layer }, output: at(vectors.attentionOutputs, layer) });
    }
    parts.push({ part: { kind: "mlp", layer }, output: at(vectors.mlpOutputs, layer) });
  }
  return { parts, biases };
}

function inputParts(trace: Trace, vectors: Vectors, input: Float32Array): Output[] {
  const { position } = vectors.readoutWeights;
  const part: Part = { kind: trace.config.hasClassToken ? "classToken" : "tokenizer" };
  if (!position) return [{ part, output: input }];
  const cells = Float64Array.from(input, (value, i) => value - position[i]);
  return [
    { part, output: cells },
    { part: { kind: "position" }, output: position },
  ];
}

/** What each head adds in a pre-norm block; with the projection's bias they sum to the attention's output. */
function headOutputs(trace: Trace, vectors: Vectors, layer: number, layers: Layers): Output[] {
  const { sequenceLength: m, numHeads, numLayers } = trace.config;
  const dim = vectors.embeddingDim;
  const { attentions } = trace;
  if (!attentions) return [];
  const name = `block_${layer}`;
  const gamma = layers.get(`${name}/norm_1/gamma`);
  const beta = layers.get(`${name}/norm_1/beta`);
  const stream = rowsOf(matrix((numLayers + 1) * m, dim, vectors.stream), layer * m, m);
  const values = layers.dense(
    layerNorm(stream, gamma, beta, vectors.readoutWeights.epsilon),
    `${name}/attention/value`,
  ); // (M, A E)
  const keyDim = values.columns / numHeads;
  const projection = matrix(values.columns, dim, layers.get(`${name}/attention/projection/kernel`));
  return Array.from({ length: numHeads }, (_, head) => {
    const from = (layer * numHeads + head) * m * m;
    const attended = multiply(
      matrix(m, m, attentions.subarray(from, from + m * m)),
      columnsOf(values, head * keyDim, keyDim),
    ); // (M, E)
    const output = multiply(attended, rowsOf(projection, head * keyDim, keyDim)).values; // (M, D)
    return { part: { kind: "head", layer, head }, output };
  });
}

/**
 * (M, D): the factors that map a centred part into the pooled vector. r = gamma (x - mean x) / sigma + beta is linear
 * in x if sigma is fixed, and the pool reads f_td r_td.
 */
function readingWeights(trace: Trace, vectors: Vectors): Float64Array {
  const { sequenceLength: m, numLayers } = trace.config;
  const { embeddingDim: dim, poolingFactors, readoutWeights, stream } = vectors;
  const perChannel = poolingFactors.length === m * dim;
  const out = new Float64Array(m * dim);
  for (let t = 0; t < m; t++) {
    const row = stream.subarray((numLayers * m + t) * dim, (numLayers * m + t + 1) * dim);
    const mean = sum(row) / dim;
    const variance = row.reduce((total, value) => total + (value - mean) ** 2, 0) / dim;
    const scale = 1 / Math.sqrt(variance + readoutWeights.epsilon);
    for (let d = 0; d < dim; d++) {
      const factor = poolingFactors[perChannel ? t * dim + d : t];
      out[t * dim + d] = factor * readoutWeights.gamma[d] * scale;
    }
  }
  return out;
}

/** (M, K): each token's part, centred because the norm subtracts the mean, through the reading weights and the head. */
function throughHead(
  output: ArrayLike<number>,
  reading: Float64Array,
  { embeddingDim: dim, readoutWeights: { head } }: Vectors,
  k: number,
): Float64Array {
  const m = reading.length / dim;
  const out = new Float64Array(m * k);
  for (let t = 0; t < m; t++) {
    let mean = 0;
    for (let d = 0; d < dim; d++) mean += output[t * dim + d] / dim;
    for (let d = 0; d < dim; d++) {
      const value = (output[t * dim + d] - mean) * reading[t * dim + d];
      if (value) for (let c = 0; c < k; c++) out[t * k + c] += value * head[d * k + c];
    }
  }
  return out;
}

/** (K,): b_c + sum_d W_dc beta_d sum_t f_td, the part of the scores that comes from the biases. */
function constantsOf(trace: Trace, vectors: Vectors): Float64Array {
  const { embeddingDim: dim, poolingFactors, readoutWeights } = vectors;
  const { sequenceLength: m, numClasses: k } = trace.config;
  const perChannel = poolingFactors.length === m * dim;
  const constants = Float64Array.from(readoutWeights.bias);
  for (let d = 0; d < dim; d++) {
    let factor = 0;
    for (let t = 0; t < m; t++) factor += poolingFactors[perChannel ? t * dim + d : t];
    const shift = readoutWeights.beta[d] * factor;
    for (let c = 0; c < k; c++) constants[c] += shift * readoutWeights.head[d * k + c];
  }
  return constants;
}

function columnSums(table: Float64Array, k: number): Float64Array {
  const sums = new Float64Array(k);
  table.forEach((value, i) => (sums[i % k] += value));
  return sums;
}
