/**
 * The compact transformers, in the order of the paper: tokenizer, encoder, pool, classifier. The same model as
 * cct_viz/architecture/keras_model.py, with the same names, for one image and without any library.
 *
 * Letters: H W pixels, N image tokens, M tokens in the encoder (N, or N + 1 with a class token first), D embedding
 * width, A heads, E key width, L layers, K classes. A comment after a line gives the shape of what it makes.
 *
 * Source: Hassani et al. 2021, Escaping the Big Data Paradigm with Compact Transformers,
 * https://arxiv.org/abs/2104.05704
 */

import { add, columnsOf, type Matrix, matrix, multiply, softmaxRows, takeRows, transpose } from "../core/matrix.ts";
import { problem } from "../core/problem.ts";
import { findActivation } from "./activations.ts";
import { findBlock } from "./blocks.ts";
import type { Config } from "./config.ts";
import type { Layers } from "./layers.ts";
import { type Pooling, poolWith } from "./pooling.ts";
import { findPool, poolTokens } from "./pools.ts";
import { convStage } from "./tokenizer.ts";
import type { FeatureMap } from "./trace.ts";

/** What a pass is about to compute; layers and conv stages are counted from 0. */
export type Step = { readonly part: "conv" | "layer"; readonly index: number } | { readonly part: "pool" };

/** Everything that one pass reveals, by the names of Trace. */
export interface Seen {
  readonly featureMaps: readonly FeatureMap[];
  /** (L + 1, M, D) */
  readonly stream: Float32Array;
  /** (L, M, D) */
  readonly attentionOutputs: Float32Array;
  /** (L, M, D) */
  readonly mlpOutputs: Float32Array;
  /** (L, A, M, M) */
  readonly attentions: Float32Array;
  /** (M, D) */
  readonly representation: Float32Array;
  readonly pooling: Pooling;
  /** (K,) */
  readonly logits: Float32Array;
}

/** Added to a masked score: exp() of it is exactly 0. */
const MASKED = -1e9;

/** 0 and 1 for each image token, (N,); a token at 0 is neither attended to nor pooled. Null masks nothing. */
export type TokenMask = ArrayLike<number> | null;

/** The forward pass as an iterator, which yields each step before it is taken and returns what was seen. */
export function* forward(
  config: Config,
  layers: Layers,
  pixels: Uint8Array,
  mask: TokenMask,
): Generator<Step, Seen, void> {
  const featureMaps = yield* tokenize(config, layers, pixels);
  const { sequenceLength: m, embeddingDim: dim, numLayers, numHeads } = config;
  const kept = keptRows(config, mask);
  const stream = new Float32Array((numLayers + 1) * m * dim);
  const attentionOutputs = new Float32Array(numLayers * m * dim);
  const mlpOutputs = new Float32Array(numLayers * m * dim);
  const attentions = new Float32Array(numLayers * numHeads * m * m);

  let x = sequence(config, layers, featureMaps[featureMaps.length - 1].data); // (M, D)
  stream.set(x.values);
  for (let layer = 0; layer < numLayers; layer++) {
    yield { part: "layer", index: layer };
    const size = numHeads * m * m;
    const keyMask = kept.length === m ? null : kept;
    const block = runBlock(config, layers, layer, x, attentions.subarray(layer * size, (layer + 1) * size), keyMask);
    x = block.stream;
    attentionOutputs.set(block.attended.values, layer * m * dim);
    mlpOutputs.set(block.added.values, layer * m * dim);
    stream.set(x.values, (layer + 1) * m * dim);
  }
  yield { part: "pool" };
  const representation = layers.norm(x, "norm"); // (M, D)
  const pooling = poolWith(config.pool, representation, kept, layers.poolScore);
  const logits = layers.dense(poolTokens(pooling.factors, representation), "head").values; // (1, K)
  return {
    featureMaps,
    stream,
    attentionOutputs,
    mlpOutputs,
    attentions,
    representation: representation.values,
    pooling,
    logits,
  };
}

/** The feature map of each conv stage. */
export function* tokenize(config: Config, layers: Layers, pixels: Uint8Array): Generator<Step, FeatureMap[], void> {
  const featureMaps: FeatureMap[] = [];
  let image = normalise(pixels, config); // (H, W, channels)
  for (const [index, stage] of config.tokenizer.entries()) {
    yield { part: "conv", index };
    const name = `tokenizer/conv_${index}`;
    image = convStage(image, stage, layers.get(`${name}/kernel`), layers.find(`${name}/bias`)).pooled;
    featureMaps.push(image);
  }
  return featureMaps;
}

/**
 * The encoder's input (M, D): the cells of the last feature map, read row by row, with the class token before them and
 * the positional embedding added, where the model has them.
 */
export function sequence(config: Config, layers: Layers, cells: Float32Array): Matrix {
  const { sequenceLength: m, embeddingDim: dim } = config;
  const x = matrix(m, dim);
  if (findPool(config.pool).classToken) x.values.set(layers.get("sequence/class_token"));
  x.values.set(cells, (m - config.numTokens) * dim);
  return config.position === "none" ? x : add(x, matrix(m, dim, layers.get("sequence/position")));
}

/**
 * The logits (K,) with some tokens masked, from the encoder's input (M, D). Masked tokens are taken out of the
 * sequence: nothing that they compute is read, so the answer is the same as with a mask, in less time.
 */
export function answer(config: Config, layers: Layers, input: Matrix, mask: TokenMask): Float32Array {
  const kept = keptRows(config, mask);
  const m = kept.length;
  let x = m === input.rows ? input : takeRows(input, kept);
  const attentions = new Float32Array(config.numHeads * m * m);
  for (let layer = 0; layer < config.numLayers; layer++) {
    x = runBlock(config, layers, layer, x, attentions, null).stream;
  }
  const representation = layers.norm(x, "norm");
  const all = Array.from({ length: m }, (_, i) => i);
  const { factors } = poolWith(config.pool, representation, all, layers.poolScore);
  return layers.dense(poolTokens(factors, representation), "head").values;
}

/** One encoder block: the stream after it, and what its attention and its MLP added. */
function runBlock(
  config: Config,
  layers: Layers,
  layer: number,
  x: Matrix,
  attentions: Float32Array,
  kept: readonly number[] | null,
): { stream: Matrix; attended: Matrix; added: Matrix } {
  const name = `block_${layer}`;
  const activate = findActivation(config.activation);
  const mlp = (x: Matrix) => {
    const out = layers.dense(activate(layers.dense(x, `${name}/mlp_1`)), `${name}/mlp_2`); // (M, D)
    return config.mlpOutputActivation ? activate(out) : out;
  };
  const attended = attend(config, layers, `${name}/attention`, layers.norm(x, `${name}/norm_1`), attentions, kept);
  const norm = (x: Matrix) => layers.norm(x, `${name}/norm_2`);
  return { attended, ...findBlock(config.block).addMlp(add(x, attended), norm, mlp) };
}

/**
 * Multi-head self-attention of x (M, D); its rows, one (M, M) a head, are written to `attentions`.
 * @param kept the keys that are attended to; null for all
 */
function attend(
  config: Config,
  layers: Layers,
  name: string,
  x: Matrix,
  attentions: Float32Array,
  kept: readonly number[] | null,
): Matrix {
  const { numHeads, keyDim } = config;
  const m = x.rows;
  const query = layers.dense(x, `${name}/query`); // (M, A E)
  const key = layers.dense(x, `${name}/key`);
  const value = layers.dense(x, `${name}/value`);
  const joined = matrix(m, numHeads * keyDim);
  const penalty = kept && new Float32Array(m).fill(MASKED);
  for (const row of kept ?? []) if (penalty) penalty[row] = 0;
  for (let head = 0; head < numHeads; head++) {
    const of = (all: Matrix) => columnsOf(all, head * keyDim, keyDim); // (M, E)
    const scores = matrix(m, m, attentions.subarray(head * m * m, (head + 1) * m * m)); // rows are queries
    multiply(of(query), transpose(of(key)), scores);
    scale(scores.values, 1 / Math.sqrt(keyDim), penalty);
    multiply(softmaxRows(scores), of(value), of(joined));
  }
  return layers.dense(joined, `${name}/projection`); // (M, D)
}

/** Multiplies all scores, then adds `penalty` (M,) to each row. */
function scale(scores: Float32Array, factor: number, penalty: Float32Array | null): void {
  for (let i = 0; i < scores.length; i++) scores[i] *= factor;
  if (penalty) for (let i = 0; i < scores.length; i++) scores[i] += penalty[i % penalty.length];
}

/** The rows of the encoder's arrays that a mask leaves, a class token among them. */
function keptRows({ sequenceLength: m, numTokens }: Config, mask: TokenMask): number[] {
  const first = m - numTokens;
  return Array.from({ length: m }, (_, row) => row).filter((row) => !mask || row < first || mask[row - first] !== 0);
}

/** (pixels / 255 - mean) / std. A model of one channel gets the first of the three equal ones. */
export function normalise(pixels: Uint8Array, config: Config): FeatureMap {
  const { channels, preprocessing } = config;
  const [height, width] = config.imageSize;
  const { mean, std } = preprocessing;
  const data = new Float32Array(height * width * channels);
  for (let i = 0; i < data.length; i++) {
    const c = i % channels;
    const level = pixels[channels === 3 ? i : 3 * i];
    data[i] = (level / 255 - mean[c]) / std[c];
  }
  return { height, width, channels, data };
}

/** @throws {Error} the picture is not (H, W, 3) of this model */
export function checkPixels({ imageSize: [height, width] }: Config, pixels: Uint8Array): void {
  if (pixels.length !== height * width * 3) throw problem("pixels.size", { count: pixels.length, height, width });
}

/** @throws {Error} the mask does not have one entry for each token of this model */
export function checkMask(config: Config, mask: TokenMask): void {
  if (mask && mask.length !== config.numTokens) {
    throw problem("mask.size", { count: mask.length, tokens: config.numTokens });
  }
}
