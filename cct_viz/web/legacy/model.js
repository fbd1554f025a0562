// The compact transformers, in the order of the paper: tokenizer, encoder, sequence pooling, classifier. The same model
// as cct_viz/architecture/keras_model.py, with the same names, for one image and without any library.
//
// Letters: H W pixels, N image tokens, M tokens that the encoder sees (N, or N + 1 with a class token first), D embedding
// width, A heads, E key width, L layers, K classes. A comment after a line gives the shape of what it makes.
//
// Reference: Hassani et al. 2021, Escaping the Big Data Paradigm with Compact Transformers, https://arxiv.org/abs/2104.05704

import { findActivation } from "./activations.js";
import { findBlock } from "./blocks.js";
import { expectedShapes, readConfig } from "./config.js";
import { MASKED, add, addToRows, columnsOf, layerNorm, matrix, multiply, softmaxRows, transpose } from "./kernels.js";
import { findPool } from "./pools.js";
import { luminance } from "./preprocess.js";
import { readWeights } from "./safetensors.js";
import { convStage } from "./tokenizer.js";

/**
 * Everything that one pass reveals, by the names in Python's `Trace`, each {shape, values}: feature_map_0.. (h, w, c),
 * stream_0.. (M, D), attention_output_0.., mlp_output_0.. (M, D), attentions_0.. (A, M, M), representation (M, D),
 * logits (K,), and where the pool has them pool_scores (N,) and pooling_weights (N,).
 * @typedef {Record<string, import("./safetensors.js").Tensor>} Seen
 */

/**
 * A model, ready to run. `weights` by their names in the file. `steps(pixels, mask)` is one pass as an iterator, which
 * yields the name of each step before it is taken and returns what was seen; `numSteps` says how many there are.
 * `run(pixels, {mask, onprogress})` takes them all at once.
 * @typedef {ReturnType<typeof openModel>} Model
 */

/**
 * @param {string} configText the content of config.json
 * @param {ArrayBuffer} buffer the content of model.safetensors, which the model keeps
 */
export function openModel(configText, buffer) {
  const config = readConfig(configText), weights = readWeights(buffer, expectedShapes(config));
  const numSteps = config.tokenizer.length + config.num_layers + 1;
  const steps = (pixels, mask = null) => forward(checkPixels(pixels, config), checkMask(mask, config), config, weights);

  /**
   * @param {Uint8Array} pixels (H, W, 3)
   * @param {object} [options]
   * @param {ArrayLike<number> | null} [options.mask] (N,) of 0 and 1: a token at 0 is neither attended to nor pooled
   * @param {(done: number, all: number, next: string) => void} [options.onprogress]
   * @returns {Seen}
   */
  function run(pixels, { mask = null, onprogress = () => {} } = {}) {
    const pass = steps(pixels, mask);
    for (let done = 0; ; done++) {
      const { done: over, value } = pass.next();
      onprogress(done, numSteps, over ? "" : value);
      if (over) return value;
    }
  }

  return { config, weights, steps, numSteps, run };
}

/** The forward pass. */
function* forward(pixels, tokenMask, config, weights) {
  const weight = (name) => weights.get(name)?.values; // undefined where the model has no such bias
  const dense = (x, name) => {
    const { shape, values } = weights.get(`${name}/kernel`), out = multiply(x, matrix(...shape, values));
    return weight(`${name}/bias`) ? addToRows(out, weight(`${name}/bias`)) : out;
  };
  const norm = (x, name) => layerNorm(x, weight(`${name}/gamma`), weight(`${name}/beta`), config.layer_norm_epsilon);
  const { num_heads: heads, key_dim: keyDim, sequence_length: m, embedding_dim: dim } = config;
  const pool = findPool(config.pool), addMlp = findBlock(config.block), activate = findActivation(config.activation);
  const keyMask = pool.classToken ? [1, ...tokenMask] : tokenMask;
  const attentions = new Float32Array(config.num_layers * heads * m * m); // one array, so that nobody has to join them
  const seen = {};
  const note = (name, { rows, columns, values }) => { seen[name] = { shape: [rows, columns], values }; };

  function attend(x, name, layer) {
    const query = dense(x, `${name}/query`), key = dense(x, `${name}/key`), value = dense(x, `${name}/value`); // (M, A E)
    const joined = matrix(m, heads * keyDim);
    for (let head = 0; head < heads; head++) {
      const of = (x) => columnsOf(x, head * keyDim, keyDim); // (M, E)
      const from = (layer * heads + head) * m * m, scores = matrix(m, m, attentions.subarray(from, from + m * m));
      multiply(of(query), transpose(of(key)), scores); // (M, M): rows are queries
      scores.values.forEach((score, i) => { scores.values[i] = score / Math.sqrt(keyDim) + (1 - keyMask[i % m]) * MASKED; });
      multiply(softmaxRows(scores), of(value), of(joined)); // (M, E)
    }
    seen[`attentions_${layer}`] = { shape: [heads, m, m], values: attentions.subarray(layer * heads * m * m, (layer + 1) * heads * m * m) };
    return dense(joined, `${name}/projection`); // (M, D)
  }

  function mlp(x, name) {
    const out = dense(activate(dense(x, `${name}/mlp_1`)), `${name}/mlp_2`); // (M, D)
    return config.mlp_output_activation ? activate(out) : out;
  }

  // Tokenizer: convolution, ReLU and max pool a stage
  let image = normalise(pixels, config); // (H, W, C)
  for (const [i, stage] of config.tokenizer.entries()) {
    yield `conv stage ${i + 1}`;
    image = convStage(image, stage, weight(`tokenizer/conv_${i}/kernel`), weight(`tokenizer/conv_${i}/bias`));
    seen[`feature_map_${i}`] = { shape: [image.height, image.width, image.channels], values: image.values };
  }

  // The sequence: cells read row by row are tokens; class token and position, where the model has them
  let x = matrix(config.num_tokens, dim, image.values); // (N, D)
  if (pool.classToken) x = below(matrix(1, dim, weight("sequence/class_token")), x); // (M, D)
  if (config.position !== "none") x = add(x, matrix(m, dim, weight("sequence/position")));
  note("stream_0", x);

  // Encoder: every block adds what its attention and its MLP make of the stream
  for (let layer = 0; layer < config.num_layers; layer++) {
    yield `layer ${layer + 1}`;
    const name = `block_${layer}`;
    const attended = attend(norm(x, `${name}/norm_1`), `${name}/attention`, layer);
    const [after, added] = addMlp(add(x, attended), (x) => norm(x, `${name}/norm_2`), (x) => mlp(x, name));
    x = after;
    note(`attention_output_${layer}`, attended);
    note(`mlp_output_${layer}`, added);
    note(`stream_${layer + 1}`, x);
  }

  // Pool and classifier
  yield "pool";
  const representation = norm(x, "norm"); // (M, D)
  note("representation", representation);
  const { pooled, scores, weights: shares } = pool.read(representation, tokenMask, dense); // (1, D), (N,), (N,)
  if (scores) seen.pool_scores = { shape: [m], values: scores };
  if (shares) seen.pooling_weights = { shape: [m], values: shares };
  seen.logits = { shape: [config.num_classes], values: dense(pooled, "head").values };
  return seen;
}

/** The rows of x, and those of y below them. */
function below(x, y) {
  const out = matrix(x.rows + y.rows, x.columns);
  out.values.set(x.values);
  out.values.set(y.values, x.values.length);
  return out;
}

/** (pixels / 255 - mean) / std, of the luminance where the model has one input channel */
function normalise(pixels, { image_size: [height, width], channels, preprocessing: { mean, std } }) {
  const levels = channels === 1 ? luminance(pixels) : pixels;
  return { values: Float32Array.from(levels, (value, i) => (value / 255 - mean[i % channels]) / std[i % channels]), height, width, channels };
}

function checkPixels(pixels, { image_size: [height, width] }) {
  if (pixels.length === height * width * 3) return pixels;
  throw new Error(`the picture has ${pixels.length} values; this model expects ${height} x ${width} pixels of three colours`);
}

function checkMask(mask, { num_tokens: count }) {
  if (mask && mask.length !== count) throw new Error(`the token mask has ${mask.length} entries; this model has ${count} tokens`);
  return mask ?? new Float32Array(count).fill(1);
}
