// The convolutional tokenizer: convolution, ReLU and max pool a stage; the cells of the last feature map are the tokens.
// A patch tokenizer is a convolution whose stride is its kernel, without ReLU and pool.

import { convSlide, poolSlide } from "./config.js";
import { addToRows, matrix, multiply, rowsOf } from "./kernels.js";

/**
 * A picture of numbers, row by row; as the matrix of its cells it has height * width rows.
 * @typedef {object} FeatureMap
 * @property {Float32Array} values @property {number} height @property {number} width @property {number} channels
 */

/**
 * @param {FeatureMap} image @param {import("./config.js").ConvStage} stage
 * @param {Float32Array} kernel (size, size, channels, out) @param {Float32Array | undefined} bias (out,)
 * @returns {FeatureMap}
 */
export function convStage(image, stage, kernel, bias) {
  const convolved = convolve(image, stage, kernel);
  if (bias) addToRows(matrix(convolved.height * convolved.width, stage.channels, convolved.values), bias);
  if (stage.relu) convolved.values.forEach((value, i) => { if (value < 0) convolved.values[i] = 0; });
  return stage.pool_size ? maxPool(convolved, stage) : convolved;
}

const ROWS_AT_ONCE = 256; // windows written out at a time: a multiple of the image in memory, but only of a part of it

/** Convolution as a product: each window written out as a row, times the kernel with one column a channel. */
function convolve(image, stage, kernel) {
  const [height, top] = convSlide(stage, image.height), [width, left] = convSlide(stage, image.width);
  const inner = stage.kernel_size ** 2 * image.channels, columns = matrix(inner, stage.channels, kernel);
  const out = matrix(height * width, stage.channels), windows = matrix(Math.min(ROWS_AT_ONCE, out.rows), inner);
  for (let first = 0; first < out.rows; first += windows.rows) {
    const count = Math.min(windows.rows, out.rows - first);
    windows.values.fill(0);
    for (let i = 0; i < count; i++) {
      const y = Math.floor((first + i) / width) * stage.stride - top, x = (first + i) % width * stage.stride - left;
      copyWindow(image, y, x, stage.kernel_size, windows.values, i * inner);
    }
    multiply(rowsOf(windows, 0, count), columns, rowsOf(out, first, count));
  }
  return { values: out.values, height, width, channels: stage.channels };
}

/** The window whose first pixel is (y, x), to `row` from `at` on; zeros outside of the image stay as they are. */
function copyWindow(image, y, x, size, row, at) {
  const { values, height, width, channels } = image;
  const from = Math.max(0, x) * channels, to = Math.min(width, x + size) * channels;
  for (let dy = Math.max(0, -y); dy < size && y + dy < height; dy++) {
    const source = (y + dy) * width * channels, target = at + (dy * size - x) * channels;
    for (let i = from; i < to; i++) row[target + i] = values[source + i];
  }
}

/** The largest value under each window, channel by channel; zero padding counts, what "same" adds does not. */
function maxPool(image, stage) {
  const { values, channels } = image, zeros = stage.pool_zero_padding, size = stage.pool_size;
  const [height, top] = poolSlide(stage, image.height), [width, left] = poolSlide(stage, image.width);
  const out = new Float32Array(height * width * channels).fill(-Infinity);
  for (let cell = 0; cell < height * width; cell++) {
    const y0 = Math.floor(cell / width) * stage.pool_stride - top, x0 = cell % width * stage.pool_stride - left;
    for (let y = Math.max(y0, -zeros); y < Math.min(y0 + size, image.height + zeros); y++) {
      for (let x = Math.max(x0, -zeros); x < Math.min(x0 + size, image.width + zeros); x++) {
        const inside = y >= 0 && y < image.height && x >= 0 && x < image.width, source = (y * image.width + x) * channels;
        for (let c = 0, at = cell * channels; c < channels; c++, at++) {
          const value = inside ? values[source + c] : 0;
          if (value > out[at]) out[at] = value;
        }
      }
    }
  }
  return { values: out, height, width, channels };
}
