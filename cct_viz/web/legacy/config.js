// A model's config.json, opened: the same entries as Python's CCTConfig, and what follows from them under the same names.

import { ACTIVATIONS } from "./activations.js";
import { BLOCKS } from "./blocks.js";
import { OUTPUTS, findOutput } from "./outputs.js";
import { POOLS, findPool } from "./pools.js";

/**
 * @typedef {object} ConvStage
 * @property {number} channels @property {number} kernel_size @property {number} stride @property {number} padding
 * @property {boolean} use_bias @property {boolean} relu @property {number} pool_size 0 for no pool
 * @property {number} pool_stride @property {number} pool_zero_padding
 * @property {"valid" | "same"} pool_padding @property {"valid" | "same"} conv_padding
 *
 * @typedef {object} Config
 * @property {[number, number]} image_size (height, width)
 * @property {ConvStage[]} tokenizer
 * @property {number} num_layers @property {number} num_heads @property {number} key_dim @property {number} mlp_dim
 * @property {string[]} labels
 * @property {"learnable" | "sinusoidal" | "none"} position @property {string} block in BLOCKS
 * @property {string} pool in POOLS @property {string} activation in ACTIVATIONS
 * @property {boolean} qkv_bias @property {boolean} mlp_output_activation @property {number} layer_norm_epsilon
 * @property {{mean: number[], std: number[], interpolation: string, crop: number}} preprocessing
 * @property {1 | 3} channels of the input: colours, or grey @property {"softmax" | "sigmoid"} output what makes probabilities of logits
 * @property {[number, number][]} stage_shapes rows and columns of each feature map
 * @property {[number, number]} grid those of the last, the token grid
 * @property {number} num_tokens image tokens N @property {number} sequence_length M: N, or N + 1 with a class token
 * @property {number} embedding_dim @property {number} num_classes
 */

const STAGE = {
  kernel_size: 3, stride: 1, padding: 0, use_bias: false, relu: true, pool_size: 3, pool_stride: 2,
  pool_zero_padding: 1, pool_padding: "valid", conv_padding: "valid",
};
const MODEL = {
  position: "learnable", block: "pre_norm", pool: "seqpool", qkv_bias: true, mlp_output_activation: false, activation: "gelu", layer_norm_epsilon: 1e-5,
  channels: 3, output: "softmax",
};
const PREPROCESSING = { mean: [0, 0, 0], std: [1, 1, 1], interpolation: "bicubic", crop: 1 };

const CHOICES = {
  position: ["learnable", "sinusoidal", "none"], block: Object.keys(BLOCKS), pool: Object.keys(POOLS), activation: Object.keys(ACTIVATIONS),
  output: Object.keys(OUTPUTS),
  pool_padding: ["valid", "same"], conv_padding: ["valid", "same"], interpolation: ["box", "bilinear", "bicubic", "lanczos"],
};
const MOST = { side: 4096, tokens: 16384, layers: 1000 };

function require(condition, message) {
  if (!condition) throw new Error(`the configuration cannot be used: ${message}`);
}

function requireWhole(record, names, least) {
  for (const name of names) require(Number.isInteger(record[name]) && record[name] >= least, `${name} is ${record[name]}; expected ${least} or more`);
}

function requireChoices(record) {
  for (const [name, allowed] of Object.entries(CHOICES)) {
    if (name in record) require(allowed.includes(record[name]), `${name} is ${record[name]}; expected one of ${allowed.join(", ")}`);
  }
}

const areNumbers = (list, count) => Array.isArray(list) && list.length === count && list.every(Number.isFinite);

/** @param {string} text the content of config.json @returns {Config} */
export function readConfig(text) {
  let read;
  try { read = JSON.parse(text); } catch { require(false, "config.json is no JSON"); }
  require(read?.format_version === 1, `format_version is ${read?.format_version}; this page reads 1`);
  require(Array.isArray(read.tokenizer) && read.tokenizer.length > 0, "tokenizer is empty; expected one conv stage or more");
  const config = {
    ...MODEL, ...read, tokenizer: read.tokenizer.map((stage) => ({ ...STAGE, ...stage })), preprocessing: { ...PREPROCESSING, ...read.preprocessing },
  };
  check(config);
  return { ...config, ...derive(config) };
}

function check(config) {
  for (const stage of config.tokenizer) {
    requireWhole(stage, ["channels", "kernel_size", "stride", "pool_stride"], 1);
    requireWhole(stage, ["padding", "pool_size", "pool_zero_padding"], 0);
    requireChoices(stage);
  }
  requireWhole(config, ["num_layers", "num_heads", "key_dim", "mlp_dim"], 1);
  requireChoices(config);
  requireChoices(config.preprocessing);
  const { image_size: size, labels, layer_norm_epsilon: epsilon, preprocessing: { mean, std, crop } } = config;
  require(config.num_layers <= MOST.layers, `num_layers is ${config.num_layers}; expected ${MOST.layers} at most`);
  const isSide = (side) => Number.isInteger(side) && side >= 1 && side <= MOST.side;
  require(areNumbers(size, 2) && size.every(isSide), `image_size is ${size}; expected (height, width), whole numbers from 1 to ${MOST.side}`);
  const least = findOutput(config.output).exclusive ? 2 : 1;
  require(Array.isArray(labels) && labels.length >= least && labels.every((label) => typeof label === "string"), `labels must be ${least === 1 ? "a text" : "two texts"} or more`);
  require(epsilon > 0 && epsilon < 1, `layer_norm_epsilon is ${epsilon}; expected more than 0 and less than 1`);
  const { channels } = config;
  require(channels === 1 || channels === 3, `channels is ${channels}; expected 3, or 1 for grey images`);
  const numbers = channels === 1 ? "number" : "numbers";
  require(areNumbers(mean, channels), `mean is ${mean}; expected ${channels} ${numbers}`);
  require(areNumbers(std, channels) && std.every((value) => value > 0), `std is ${std}; expected ${channels} positive ${numbers}`);
  require(crop > 0 && crop <= 1, `crop is ${crop}; expected more than 0 and at most 1`);
}

function derive(config) {
  let shape = config.image_size;
  const stage_shapes = config.tokenizer.map((stage) => shape = shape.map((length) => outputLength(stage, length)));
  const [height, width] = config.image_size, num_tokens = shape[0] * shape[1];
  require(stage_shapes.flat().every((length) => length >= 1), `images of ${height}x${width} pixels leave no token after the conv stages`);
  require(num_tokens <= MOST.tokens, `images of ${height}x${width} pixels make ${num_tokens} tokens; expected ${MOST.tokens} at most`);
  return {
    stage_shapes, grid: shape, num_tokens, sequence_length: num_tokens + Number(findPool(config.pool).classToken ?? false),
    embedding_dim: config.tokenizer.at(-1).channels, num_classes: config.labels.length,
  };
}

/**
 * How a window slides along `length` cells with `padding` zeros at both ends and those that `rule` adds.
 * @returns {[number, number]} how many places it takes, and the zeros before the first cell
 */
export function slide(length, size, stride, padding, rule) {
  const padded = length + 2 * padding;
  if (rule === "valid") return [Math.floor((padded - size) / stride) + 1, padding];
  const places = Math.ceil(padded / stride);
  return [places, padding + Math.floor(Math.max(0, (places - 1) * stride + size - padded) / 2)];
}

export const convSlide = (stage, length) => slide(length, stage.kernel_size, stage.stride, stage.padding, stage.conv_padding);
export const poolSlide = (stage, length) => slide(length, stage.pool_size, stage.pool_stride, stage.pool_zero_padding, stage.pool_padding);

function outputLength(stage, length) {
  const [convolved] = length >= 1 ? convSlide(stage, length) : [0];
  return stage.pool_size && convolved >= 1 ? poolSlide(stage, convolved)[0] : convolved;
}

/** Name -> shape of every array that a model of this configuration has. @param {Config} config */
export function expectedShapes(config) {
  const shapes = new Map(), dim = config.embedding_dim, inner = config.num_heads * config.key_dim;
  const addDense = (name, inputs, outputs, bias = true) => {
    shapes.set(`${name}/kernel`, [inputs, outputs]);
    if (bias) shapes.set(`${name}/bias`, [outputs]);
  };
  const addNorm = (name) => shapes.set(`${name}/gamma`, [dim]).set(`${name}/beta`, [dim]);
  let { channels } = config;
  config.tokenizer.forEach((stage, i) => {
    shapes.set(`tokenizer/conv_${i}/kernel`, [stage.kernel_size, stage.kernel_size, channels, stage.channels]);
    if (stage.use_bias) shapes.set(`tokenizer/conv_${i}/bias`, [stage.channels]);
    channels = stage.channels;
  });
  if (findPool(config.pool).classToken) shapes.set("sequence/class_token", [1, dim]);
  if (config.position !== "none") shapes.set("sequence/position", [config.sequence_length, dim]);
  for (let i = 0; i < config.num_layers; i++) {
    addNorm(`block_${i}/norm_1`);
    for (const name of ["query", "key", "value"]) addDense(`block_${i}/attention/${name}`, dim, inner, config.qkv_bias);
    addDense(`block_${i}/attention/projection`, inner, dim);
    addNorm(`block_${i}/norm_2`);
    addDense(`block_${i}/mlp_1`, dim, config.mlp_dim);
    addDense(`block_${i}/mlp_2`, config.mlp_dim, dim);
  }
  addNorm("norm");
  for (const [name, shape] of findPool(config.pool).shapes?.(dim) ?? []) shapes.set(`pool/${name}`, shape);
  addDense("head", dim, config.num_classes);
  return shapes;
}
