/** The inside of a convolution: one cell's window, its kernel, their products, the ReLU and the max pool. */

import { convolution, normalise } from "../model/forward.ts";
import type { Model } from "../model/model.ts";
import { poolSlide, convSlide } from "../model/slide.ts";
import { convStage, copyWindow } from "../model/tokenizer.ts";
import type { FeatureMap, Trace } from "../model/trace.ts";

/** One output of the convolution before the pool. */
export interface Convolved {
  /** Row and column of its first input, which may lie in the padding. */
  readonly y: number;
  readonly x: number;
  /** (size, size, channels) each: inputs, 0 in the padding; the kernel of the output's channel; their products. */
  readonly inputs: Float32Array;
  readonly kernel: Float32Array;
  readonly products: Float64Array;
  readonly bias: number;
  /** The sum of the products plus the bias. */
  readonly sum: number;
  /** After the ReLU, where the stage has one. */
  readonly output: number;
}

/** A cell of a feature map: the outputs under its pool's window, of which the largest wins. */
export interface PooledCell {
  /** Cells of the convolution under the pool, row and column; one without a pool. Padding is not among them. */
  readonly cells: readonly { readonly y: number; readonly x: number; readonly value: number }[];
  /** The index of the largest in `cells`; null where zero padding is larger than all. */
  readonly winner: number | null;
  readonly value: number;
}

const kept = new WeakMap<Trace, Map<number, FeatureMap>>();

/** What a conv stage is given: the normalised image, or the feature map before. */
export function stageInput(trace: Trace, model: Model, stage: number): FeatureMap {
  return stage === 0 ? normalise(trace.pixels, model.config) : trace.featureMaps[stage - 1];
}

/** The output of a stage's convolution before the pool. Computed once for each trace and stage. */
export function convolvedMap(trace: Trace, model: Model, stage: number): FeatureMap {
  const maps = kept.get(trace) ?? new Map<number, FeatureMap>();
  kept.set(trace, maps);
  const before = maps.get(stage);
  if (before) return before;
  const input = stageInput(trace, model, stage);
  const { convolved } = convStage(input, model.config.tokenizer[stage], convolution(model.layers, stage));
  maps.set(stage, convolved);
  return convolved;
}

/** @param row, column of the convolution's output, before the pool */
export function openConvolution(
  trace: Trace,
  model: Model,
  stage: number,
  channel: number,
  row: number,
  column: number,
): Convolved {
  const config = model.config.tokenizer[stage];
  const input = stageInput(trace, model, stage);
  const { kernelSize: size, channels, stride, relu } = config;
  const y = row * stride - convSlide(config, input.height).before;
  const x = column * stride - convSlide(config, input.width).before;
  const inputs = new Float32Array(size * size * input.channels);
  copyWindow(input, y, x, size, inputs, 0);
  const all = model.layers.get(`tokenizer/conv_${stage}/kernel`);
  const kernel = Float32Array.from(inputs, (_, i) => all[i * channels + channel]);
  const products = Float64Array.from(inputs, (value, i) => value * kernel[i]);
  const bias = model.layers.find(`tokenizer/conv_${stage}/bias`)?.[channel] ?? 0;
  const sum = products.reduce((a, b) => a + b, bias);
  return { y, x, inputs, kernel, products, bias, sum, output: relu ? Math.max(0, sum) : sum };
}

/** @param cell of the feature map, row by row */
export function openPool(trace: Trace, model: Model, stage: number, channel: number, cell: number): PooledCell {
  const config = model.config.tokenizer[stage];
  const map = convolvedMap(trace, model, stage);
  const width = trace.featureMaps[stage].width;
  const row = Math.floor(cell / width);
  const column = cell % width;
  const valueAt = (y: number, x: number) => map.data[(y * map.width + x) * map.channels + channel];
  if (!config.poolSize) {
    const value = valueAt(row, column);
    return { cells: [{ y: row, x: column, value }], winner: 0, value };
  }
  const y0 = row * config.poolStride - poolSlide(config, map.height).before;
  const x0 = column * config.poolStride - poolSlide(config, map.width).before;
  const cells = [];
  for (let y = Math.max(0, y0); y < Math.min(map.height, y0 + config.poolSize); y++) {
    for (let x = Math.max(0, x0); x < Math.min(map.width, x0 + config.poolSize); x++) {
      cells.push({ y, x, value: valueAt(y, x) });
    }
  }
  const value = trace.featureMaps[stage].data[cell * map.channels + channel];
  const winner = cells.findIndex((one) => one.value === value);
  return { cells, winner: winner < 0 ? null : winner, value };
}
