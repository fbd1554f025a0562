/**
 * The convolutional tokenizer: convolution, ReLU and max pool a stage; the cells of the last feature map are the
 * tokens. A patch tokenizer is a convolution whose stride is its kernel, without ReLU and pool.
 */

import { rowsOf } from "../core/matrix.ts";
import type { ConvStage } from "./config.ts";
import { copyValues, type Dense, type Engine, JAVASCRIPT } from "./engine.ts";
import { convSlide, poolSlide } from "./slide.ts";
import type { FeatureMap } from "./trace.ts";

/** What a conv stage makes on its way; `pooled` is its output. */
export interface StageOutput {
  /** After the convolution, its bias and ReLU. */
  readonly convolved: FeatureMap;
  readonly pooled: FeatureMap;
}

/**
 * @param convolution the kernel (size size channels, out) as a layer, with its bias
 * @param engine made the layer; its scope holds what comes back
 */
export function convStage(image: FeatureMap, stage: ConvStage, convolution: Dense, engine = JAVASCRIPT): StageOutput {
  const here = { ...image, data: engine.take(image.data) };
  const convolved = convolve(here, stage, convolution, engine);
  return { convolved, pooled: stage.poolSize ? maxPool(convolved, stage, engine) : convolved };
}

/** Windows that are written out at a time: they take a multiple of the image's memory, but only of a part of it. */
export const WINDOWS_AT_ONCE = 256;

/** Convolution as a product: each window written out as a row, times the kernel with one column a channel. */
function convolve(image: FeatureMap, stage: ConvStage, convolution: Dense, engine: Engine): FeatureMap {
  const { places: height, before: top } = convSlide(stage, image.height);
  const { places: width, before: left } = convSlide(stage, image.width);
  const inner = stage.kernelSize ** 2 * image.channels;
  const out = engine.matrix(height * width, stage.channels);
  const windows = engine.matrix(Math.min(WINDOWS_AT_ONCE, out.rows), inner);
  for (let first = 0; first < out.rows; first += windows.rows) {
    const count = Math.min(windows.rows, out.rows - first);
    windows.values.fill(0);
    for (let i = 0; i < count; i++) {
      const y = Math.floor((first + i) / width) * stage.stride - top;
      const x = ((first + i) % width) * stage.stride - left;
      copyWindow(image, y, x, stage.kernelSize, windows.values, i * inner, engine.copy);
    }
    convolution(rowsOf(windows, 0, count), rowsOf(out, first, count));
  }
  if (stage.relu) engine.relu(out);
  return { height, width, channels: stage.channels, data: out.values };
}

/** The window whose first pixel is (y, x), to `row` from `at` on; zeros outside of the image stay as they are. */
export function copyWindow(
  image: FeatureMap,
  y: number,
  x: number,
  size: number,
  row: Float32Array,
  at: number,
  copy = copyValues,
): void {
  const { data, height, width, channels } = image;
  const from = Math.max(0, x) * channels;
  const count = Math.min(width, x + size) * channels - from;
  if (count <= 0) return;
  for (let dy = Math.max(0, -y); dy < size && y + dy < height; dy++) {
    copy(data, (y + dy) * width * channels + from, row, at + (dy * size - x) * channels + from, count);
  }
}

/** The largest value under each window, channel by channel; zero padding counts, what "same" adds does not. */
function maxPool(image: FeatureMap, stage: ConvStage, engine: Engine): FeatureMap {
  const { data, channels } = image;
  const padding = stage.poolZeroPadding;
  const size = stage.poolSize;
  const { places: height, before: top } = poolSlide(stage, image.height);
  const { places: width, before: left } = poolSlide(stage, image.width);
  const out = engine.matrix(height * width, channels).values.fill(-Infinity);
  const zeros = engine.matrix(1, channels).values.fill(0);
  for (let cell = 0; cell < height * width; cell++) {
    const y0 = Math.floor(cell / width) * stage.poolStride - top;
    const x0 = (cell % width) * stage.poolStride - left;
    for (let y = Math.max(y0, -padding); y < Math.min(y0 + size, image.height + padding); y++) {
      for (let x = Math.max(x0, -padding); x < Math.min(x0 + size, image.width + padding); x++) {
        const isInside = y >= 0 && y < image.height && x >= 0 && x < image.width;
        const source = (y * image.width + x) * channels;
        engine.larger(isInside ? data : zeros, isInside ? source : 0, out, cell * channels, channels);
      }
    }
  }
  return { height, width, channels, data: out };
}
