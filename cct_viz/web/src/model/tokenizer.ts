/**
 * The convolutional tokenizer: convolution, ReLU and max pool a stage; the cells of the last feature map are the
 * tokens. A patch tokenizer is a convolution whose stride is its kernel, without ReLU and pool.
 */

import { addToRows, matrix, multiply, rowsOf } from "../core/matrix.ts";
import type { ConvStage } from "./config.ts";
import { convSlide, poolSlide } from "./slide.ts";
import type { FeatureMap } from "./trace.ts";

/** What a conv stage makes on its way; `pooled` is its output. */
export interface StageOutput {
  /** After the convolution, its bias and ReLU. */
  readonly convolved: FeatureMap;
  readonly pooled: FeatureMap;
}

/**
 * @param kernel (size, size, channels, out)
 * @param bias (out,), or null
 */
export function convStage(
  image: FeatureMap,
  stage: ConvStage,
  kernel: Float32Array,
  bias: Float32Array | null,
): StageOutput {
  const convolved = convolve(image, stage, kernel);
  const { data } = convolved;
  if (bias) addToRows(matrix(convolved.height * convolved.width, stage.channels, data), bias);
  if (stage.relu) for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] = 0;
  return { convolved, pooled: stage.poolSize ? maxPool(convolved, stage) : convolved };
}

/** Windows that are written out at a time: they take a multiple of the image's memory, but only of a part of it. */
const WINDOWS_AT_ONCE = 256;

/** Convolution as a product: each window written out as a row, times the kernel with one column a channel. */
function convolve(image: FeatureMap, stage: ConvStage, kernel: Float32Array): FeatureMap {
  const { places: height, before: top } = convSlide(stage, image.height);
  const { places: width, before: left } = convSlide(stage, image.width);
  const inner = stage.kernelSize ** 2 * image.channels;
  const columns = matrix(inner, stage.channels, kernel);
  const out = matrix(height * width, stage.channels);
  const windows = matrix(Math.min(WINDOWS_AT_ONCE, out.rows), inner);
  for (let first = 0; first < out.rows; first += windows.rows) {
    const count = Math.min(windows.rows, out.rows - first);
    windows.values.fill(0);
    for (let i = 0; i < count; i++) {
      const y = Math.floor((first + i) / width) * stage.stride - top;
      const x = ((first + i) % width) * stage.stride - left;
      copyWindow(image, y, x, stage.kernelSize, windows.values, i * inner);
    }
    multiply(rowsOf(windows, 0, count), columns, rowsOf(out, first, count));
  }
  return { height, width, channels: stage.channels, data: out.values };
}

/** The window whose first pixel is (y, x), to `row` from `at` on; zeros outside of the image stay as they are. */
export function copyWindow(image: FeatureMap, y: number, x: number, size: number, row: Float32Array, at: number): void {
  const { data, height, width, channels } = image;
  const from = Math.max(0, x) * channels;
  const to = Math.min(width, x + size) * channels;
  for (let dy = Math.max(0, -y); dy < size && y + dy < height; dy++) {
    const source = (y + dy) * width * channels;
    const target = at + (dy * size - x) * channels;
    for (let i = from; i < to; i++) row[target + i] = data[source + i];
  }
}

/** The largest value under each window, channel by channel; zero padding counts, what "same" adds does not. */
function maxPool(image: FeatureMap, stage: ConvStage): FeatureMap {
  const { data, channels } = image;
  const zeros = stage.poolZeroPadding;
  const size = stage.poolSize;
  const { places: height, before: top } = poolSlide(stage, image.height);
  const { places: width, before: left } = poolSlide(stage, image.width);
  const out = new Float32Array(height * width * channels).fill(-Infinity);
  for (let cell = 0; cell < height * width; cell++) {
    const y0 = Math.floor(cell / width) * stage.poolStride - top;
    const x0 = (cell % width) * stage.poolStride - left;
    for (let y = Math.max(y0, -zeros); y < Math.min(y0 + size, image.height + zeros); y++) {
      for (let x = Math.max(x0, -zeros); x < Math.min(x0 + size, image.width + zeros); x++) {
        const inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
        const source = (y * image.width + x) * channels;
        for (let c = 0, at = cell * channels; c < channels; c++, at++) {
          const value = inside ? data[source + c] : 0;
          if (value > out[at]) out[at] = value;
        }
      }
    }
  }
  return { height, width, channels, data: out };
}
