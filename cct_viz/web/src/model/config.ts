/** A model's config.json, opened: the entries of Python's CCTConfig in camel case, and what follows from them. */

import { problem } from "../core/problem.ts";
import { ACTIVATIONS } from "./activations.ts";
import { BLOCKS } from "./blocks.ts";
import { findPool, POOLS } from "./pools.ts";
import { convSlide, poolSlide } from "./slide.ts";
import type { Grid, ModelShape } from "./trace.ts";

/** One stage of the tokenizer: convolution, ReLU if `relu`, zero padding and max pool if `poolSize` is not 0. */
export interface ConvStage {
  readonly channels: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;
  readonly useBias: boolean;
  readonly relu: boolean;
  readonly poolSize: number;
  readonly poolStride: number;
  readonly poolZeroPadding: number;
  readonly poolPadding: PaddingRule;
  readonly convPadding: PaddingRule;
}

export type PaddingRule = "valid" | "same";
export type Interpolation = "box" | "bilinear" | "bicubic" | "lanczos";

export interface Preprocessing {
  /** One number for each channel, of pixels from 0 to 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly interpolation: Interpolation;
  /** The share of the shorter side that the centre crop keeps, more than 0 and at most 1. */
  readonly crop: number;
}

export interface Config extends ModelShape {
  /** 3 for colours, 1 for grey. */
  readonly channels: 1 | 3;
  readonly tokenizer: readonly ConvStage[];
  /** E */
  readonly keyDim: number;
  readonly mlpDim: number;
  readonly labels: readonly string[];
  readonly position: "learnable" | "sinusoidal" | "none";
  /** A name in ACTIVATIONS. */
  readonly activation: string;
  readonly qkvBias: boolean;
  readonly mlpOutputActivation: boolean;
  readonly layerNormEpsilon: number;
  readonly preprocessing: Preprocessing;
  /** What a reader of foreign weights had to assume, for people. */
  readonly assumptions: readonly string[];
  /** Rows and columns of each feature map. */
  readonly stageShapes: readonly (readonly [number, number])[];
  readonly grid: Grid;
  /** D */
  readonly embeddingDim: number;
}

/** config.json as it stands, with Python's names and defaults. */
interface Stored {
  image_size: [number, number];
  tokenizer: StoredStage[];
  num_layers: number;
  num_heads: number;
  key_dim: number;
  mlp_dim: number;
  labels: string[];
  position: Config["position"];
  block: string;
  pool: string;
  activation: string;
  qkv_bias: boolean;
  mlp_output_activation: boolean;
  layer_norm_epsilon: number;
  channels: 1 | 3;
  output: Config["output"];
  assumptions: string[];
  preprocessing: Preprocessing;
}

interface StoredStage {
  channels: number;
  kernel_size: number;
  stride: number;
  padding: number;
  use_bias: boolean;
  relu: boolean;
  pool_size: number;
  pool_stride: number;
  pool_zero_padding: number;
  pool_padding: PaddingRule;
  conv_padding: PaddingRule;
}

const STAGE = {
  kernel_size: 3,
  stride: 1,
  padding: 0,
  use_bias: false,
  relu: true,
  pool_size: 3,
  pool_stride: 2,
  pool_zero_padding: 1,
  pool_padding: "valid",
  conv_padding: "valid",
} as const;

const MODEL = {
  position: "learnable",
  block: "pre_norm",
  pool: "seqpool",
  activation: "gelu",
  qkv_bias: true,
  mlp_output_activation: false,
  layer_norm_epsilon: 1e-5,
  channels: 3,
  output: "softmax",
  assumptions: [],
} as const;

const CHOICES: Readonly<Record<string, readonly unknown[]>> = {
  position: ["learnable", "sinusoidal", "none"],
  block: Object.keys(BLOCKS),
  pool: Object.keys(POOLS),
  activation: Object.keys(ACTIVATIONS),
  output: ["softmax", "sigmoid"],
  pool_padding: ["valid", "same"],
  conv_padding: ["valid", "same"],
  interpolation: ["box", "bilinear", "bicubic", "lanczos"],
};

const MOST = { side: 4096, tokens: 16384, layers: 1000 };

/**
 * @param text the content of config.json
 * @throws {Error} no such model can be; the message names the entry and what was expected
 */
export function readConfig(text: string): Config {
  const stored = readStored(text);
  check(stored);
  const stageShapes = findStageShapes(stored);
  const [rows, columns] = stageShapes[stageShapes.length - 1];
  const numTokens = rows * columns;
  require(numTokens <= MOST.tokens, `${sizeInWords(stored)} make ${numTokens} tokens; expected ${MOST.tokens} at most`);
  const { classToken } = findPool(stored.pool);
  return {
    imageSize: stored.image_size,
    channels: stored.channels,
    tokenizer: stored.tokenizer.map(openStage),
    numLayers: stored.num_layers,
    numHeads: stored.num_heads,
    keyDim: stored.key_dim,
    mlpDim: stored.mlp_dim,
    labels: stored.labels,
    position: stored.position,
    block: stored.block,
    pool: stored.pool,
    activation: stored.activation,
    output: stored.output,
    qkvBias: stored.qkv_bias,
    mlpOutputActivation: stored.mlp_output_activation,
    layerNormEpsilon: stored.layer_norm_epsilon,
    preprocessing: stored.preprocessing,
    assumptions: stored.assumptions,
    stageShapes,
    grid: { rows, columns },
    numTokens,
    hasClassToken: classToken,
    sequenceLength: numTokens + Number(classToken),
    embeddingDim: stored.tokenizer[stored.tokenizer.length - 1].channels,
    numClasses: stored.labels.length,
  };
}

function require(condition: boolean, reason: string): asserts condition {
  if (!condition) throw problem("config", { reason });
}

function readStored(text: string): Stored {
  let read: Record<string, unknown> | null = null;
  try {
    read = JSON.parse(text);
  } catch {
    require(false, "config.json is no JSON");
  }
  require(read?.["format_version"] === 1, `format_version is ${read?.["format_version"]}; this page reads 1`);
  const { tokenizer } = read;
  require(Array.isArray(tokenizer) && tokenizer.length > 0, "tokenizer is empty; expected one conv stage or more");
  const stages = tokenizer.map((stage: object | null) => ({ ...STAGE, ...stage }));
  const channels = read["channels"] ?? MODEL.channels;
  require(channels === 1 || channels === 3, `channels is ${channels}; expected 1 or 3`);
  const preprocessing = {
    mean: Array<number>(channels).fill(0),
    std: Array<number>(channels).fill(1),
    interpolation: "bicubic",
    crop: 1,
    ...(read["preprocessing"] as object | undefined),
  };
  return { ...MODEL, ...read, tokenizer: stages, preprocessing } as unknown as Stored; // `check` follows
}

function requireWhole(record: object, names: readonly string[], least: number): void {
  const entries = record as Record<string, unknown>;
  for (const name of names) {
    const value = entries[name];
    require(Number.isInteger(value) && Number(value) >= least, `${name} is ${value}; expected ${least} or more`);
  }
}

function requireChoices(record: object): void {
  for (const [name, value] of Object.entries(record)) {
    const allowed = Object.hasOwn(CHOICES, name) ? CHOICES[name] : null;
    if (allowed) require(allowed.includes(value), `${name} is ${value}; expected one of ${allowed.join(", ")}`);
  }
}

const areNumbers = (list: unknown, count: number): list is number[] =>
  Array.isArray(list) && list.length === count && list.every(Number.isFinite);

const areTexts = (list: unknown): list is string[] =>
  Array.isArray(list) && list.every((text) => typeof text === "string");

const isSide = (side: number): boolean => Number.isInteger(side) && side >= 1 && side <= MOST.side;

function check(config: Stored): void {
  for (const stage of config.tokenizer) {
    requireWhole(stage, ["channels", "kernel_size", "stride", "pool_stride"], 1);
    requireWhole(stage, ["padding", "pool_size", "pool_zero_padding"], 0);
    requireChoices(stage);
  }
  requireWhole(config, ["num_layers", "num_heads", "key_dim", "mlp_dim"], 1);
  requireChoices(config);
  const { image_size: size, labels, layer_norm_epsilon: epsilon, assumptions } = config;
  require(config.num_layers <= MOST.layers, `num_layers is ${config.num_layers}; expected ${MOST.layers} at most`);
  require(areNumbers(size, 2) &&
    size.every(isSide), `image_size is ${size}; expected (height, width), whole numbers from 1 to ${MOST.side}`);
  const fewest = config.output === "softmax" ? 2 : 1; // one class alone is yes or no
  require(areTexts(labels) && labels.length >= fewest, `labels must be ${fewest} or more texts`);
  require(areTexts(assumptions), "assumptions must be texts");
  require(epsilon > 0 && epsilon < 1, `layer_norm_epsilon is ${epsilon}; expected more than 0 and less than 1`);
  checkPreprocessing(config.preprocessing, config.channels);
}

function checkPreprocessing(preprocessing: Preprocessing, channels: number): void {
  requireChoices(preprocessing);
  const { mean, std, crop } = preprocessing;
  const numbers = channels === 1 ? "1 number" : `${channels} numbers`;
  require(areNumbers(mean, channels), `mean is ${mean}; expected ${numbers}`);
  require(areNumbers(std, channels) &&
    std.every((value) => value > 0), `std is ${std}; expected ${numbers.replace(" ", " positive ")}`);
  require(crop > 0 && crop <= 1, `crop is ${crop}; expected more than 0 and at most 1`);
}

function openStage(stage: StoredStage): ConvStage {
  return {
    channels: stage.channels,
    kernelSize: stage.kernel_size,
    stride: stage.stride,
    padding: stage.padding,
    useBias: stage.use_bias,
    relu: stage.relu,
    poolSize: stage.pool_size,
    poolStride: stage.pool_stride,
    poolZeroPadding: stage.pool_zero_padding,
    poolPadding: stage.pool_padding,
    convPadding: stage.conv_padding,
  };
}

const sizeInWords = ({ image_size: [height, width] }: Stored): string => `images of ${height}x${width} pixels`;

function findStageShapes(config: Stored): [number, number][] {
  let shape = config.image_size;
  const shapes = config.tokenizer.map(openStage).map((stage) => {
    shape = [outputLength(stage, shape[0]), outputLength(stage, shape[1])];
    return shape;
  });
  const fits = shapes.flat().every((length) => length >= 1);
  require(fits, `${sizeInWords(config)} leave no token after the conv stages`);
  return shapes;
}

/** Cells along an axis after a stage; 0 or fewer where the kernel does not fit. */
function outputLength(stage: ConvStage, length: number): number {
  const convolved = length >= 1 ? convSlide(stage, length).places : 0;
  return stage.poolSize && convolved >= 1 ? poolSlide(stage, convolved).places : convolved;
}
