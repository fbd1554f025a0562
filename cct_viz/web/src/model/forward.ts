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

import { add, columnsOf, type Matrix, matrix, rowsOf, takeRows, transpose } from "../core/matrix.ts";
import { problem } from "../core/problem.ts";
import { findBlock } from "./blocks.ts";
import type { Config } from "./config.ts";
import type { Dense } from "./engine.ts";
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
  const keyMask = kept.length === m ? null : kept;
  const stream = matrix((numLayers + 1) * m, dim);
  const attentionOutputs = new Float32Array(numLayers * m * dim);
  const mlpOutputs = new Float32Array(numLayers * m * dim);
  const attentions = new Float32Array(numLayers * numHeads * m * m);

  stream.values.set(sequence(config, layers, featureMaps[featureMaps.length - 1].data).values); // (M, D)
  for (let layer = 0; layer < numLayers; layer++) {
    yield { part: "layer", index: layer };
    layers.engine.scope(() => {
      const block = runBlock(config, layers, layer, rowsOf(stream, layer * m, m), keyMask);
      attentions.set(block.attentions.values, layer * numHeads * m * m);
      attentionOutputs.set(block.attended.values, layer * m * dim);
      mlpOutputs.set(block.added.values, layer * m * dim);
      stream.values.set(block.stream.values, (layer + 1) * m * dim);
    });
  }
  yield { part: "pool" };
  const { representation, pooling, logits } = readOut(config, layers, rowsOf(stream, numLayers * m, m), kept);
  return {
    featureMaps,
    stream: stream.values,
    attentionOutputs,
    mlpOutputs,
    attentions,
    representation: representation.values,
    pooling,
    logits,
  };
}

/** The final norm (M, D), the pool and the logits (K,), from the stream after the last layer (M, D). */
function readOut(
  config: Config,
  layers: Layers,
  stream: Matrix,
  kept: readonly number[],
): { representation: Matrix; pooling: Pooling; logits: Float32Array } {
  const normed = layers.engine.scope(() => layers.norm(stream, "norm").values.slice());
  const representation = matrix(stream.rows, stream.columns, normed);
  const pooling = poolWith(config.pool, representation, kept, layers.poolScore);
  const logits = layers.dense(poolTokens(pooling.factors, representation), "head").values; // (1, K)
  return { representation, pooling, logits };
}

/** The feature map of each conv stage. */
export function* tokenize(config: Config, layers: Layers, pixels: Uint8Array): Generator<Step, FeatureMap[], void> {
  const featureMaps: FeatureMap[] = [];
  let image = normalise(pixels, config); // (H, W, channels)
  for (const [index, stage] of config.tokenizer.entries()) {
    yield { part: "conv", index };
    image = layers.engine.scope(() => {
      const { pooled } = convStage(image, stage, convolution(layers, index), layers.engine);
      return { ...pooled, data: pooled.data.slice() };
    });
    featureMaps.push(image);
  }
  return featureMaps;
}

/** The kernel and bias of a conv stage as a layer. */
export const convolution =
  (layers: Layers, stage: number): Dense =>
  (windows, out) =>
    layers.dense(windows, `tokenizer/conv_${stage}`, out);

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
  const x = takeRows(input, kept);
  for (let layer = 0; layer < config.numLayers; layer++) {
    layers.engine.scope(() => x.values.set(runBlock(config, layers, layer, x, null).stream.values));
  }
  const all = kept.map((_, row) => row);
  return readOut(config, layers, x, all).logits;
}

/** What an encoder block makes of the stream (M, D). All but the attention is (M, D) too. */
interface BlockOutput {
  /** (A M, M): one matrix a head, below each other. */
  readonly attentions: Matrix;
  /** What the attention added. */
  readonly attended: Matrix;
  /** What the MLP added. */
  readonly added: Matrix;
  readonly stream: Matrix;
}

/** One encoder block. @param kept the keys that are attended to; null for all */
function runBlock(
  config: Config,
  layers: Layers,
  layer: number,
  x: Matrix,
  kept: readonly number[] | null,
): BlockOutput {
  const name = `block_${layer}`;
  const { add, activation } = layers.engine;
  const activate = activation(config.activation);
  const mlp = (x: Matrix) => {
    const out = layers.dense(activate(layers.dense(x, `${name}/mlp_1`)), `${name}/mlp_2`); // (M, D)
    return config.mlpOutputActivation ? activate(out) : out;
  };
  const norm = (x: Matrix) => layers.norm(x, `${name}/norm_2`);
  const { attended, attentions } = attend(config, layers, `${name}/attention`, layers.norm(x, `${name}/norm_1`), kept);
  return { attentions, attended, ...findBlock(config.block).addMlp(add(x, attended), { norm, mlp, add }) };
}

/** Multi-head self-attention of x (M, D). */
function attend(
  { numHeads, keyDim }: Config,
  { dense, engine }: Layers,
  name: string,
  x: Matrix,
  kept: readonly number[] | null,
): Pick<BlockOutput, "attended" | "attentions"> {
  const m = x.rows;
  const query = dense(x, `${name}/query`); // (M, A E)
  const key = dense(x, `${name}/key`);
  const value = dense(x, `${name}/value`);
  const heads = Array.from({ length: numHeads }, (_, head) => head);
  const of = (all: Matrix, head: number) => columnsOf(all, head * keyDim, keyDim); // (M, E)

  const scores = engine.matrix(numHeads * m, m); // rows are queries
  const rows = (head: number) => rowsOf(scores, head * m, m); // (M, M)
  for (const head of heads) engine.multiply(of(query, head), transpose(of(key, head)), rows(head));
  const attentions = engine.softmaxRows(scores, 1 / Math.sqrt(keyDim), kept && penalise(kept, m));
  const joined = engine.matrix(m, numHeads * keyDim);
  for (const head of heads) engine.multiply(rows(head), of(value, head), of(joined, head));
  return { attended: dense(joined, `${name}/projection`), attentions }; // (M, D)
}

/** (M,) to be added to scores: 0 for the keys that are kept. */
function penalise(kept: readonly number[], m: number): Float32Array {
  const penalty = new Float32Array(m).fill(MASKED);
  for (const row of kept) penalty[row] = 0;
  return penalty;
}

/** The rows of the encoder's arrays that a mask leaves, a class token among them. */
export function keptRows(
  { sequenceLength: m, numTokens }: Pick<Config, "sequenceLength" | "numTokens">,
  mask: TokenMask,
): number[] {
  const first = m - numTokens;
  return Array.from({ length: m }, (_, row) => row).filter((row) => !mask || row < first || mask[row - first] !== 0);
}

/** (pixels / 255 - mean) / std. A model of one channel gets the first of the three equal ones. */
export function normalise(pixels: Uint8Array, config: Config): FeatureMap {
  const { channels, preprocessing } = config;
  const [height, width] = config.imageSize;
  const { mean, std } = preprocessing;
  const levels = Float32Array.from({ length: 256 * channels }, (_, i) => {
    const c = i % channels;
    return (Math.floor(i / channels) / 255 - mean[c]) / std[c];
  });
  const data = new Float32Array(height * width * channels);
  for (let pixel = 0, at = 0; pixel < height * width; pixel++) {
    for (let c = 0; c < channels; c++, at++) data[at] = levels[pixels[3 * pixel + c] * channels + c];
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
