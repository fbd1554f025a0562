/**
 * The convolutional tokenizer with the winners of ReLU and max pool frozen at one picture, walked back to the pixels, as
 * cct_viz/methods/frozen_tokenizer.py. A window that read from a cell gives to that cell.
 */

import { matrix, multiply, transpose } from "../core/matrix.ts";
import type { ConvStage } from "../model/config.ts";
import type { Model } from "../model/model.ts";
import { convSlide, poolSlide } from "../model/slide.ts";
import type { FeatureMap, Trace } from "../model/trace.ts";
import { convolvedMap, stageInput } from "./convolution.ts";

/**
 * (H, W, channels): the slope by the normalised pixels, from the slope (N, D) by the tokens. The convolutions must have
 * no bias.
 */
export function beforeTokenizer(trace: Trace, model: Model, slope: Float32Array): Float32Array {
  let out = slope;
  for (let i = model.config.tokenizer.length - 1; i >= 0; i--) {
    const stage = model.config.tokenizer[i];
    const convolved = convolvedMap(trace, model, i); // after its ReLU
    if (stage.poolSize) out = beforePool(out, convolved, trace.featureMaps[i], stage);
    if (stage.relu) out = out.map((value, at) => (convolved.data[at] > 0 ? value : 0));
    const kernel = model.layers.get(`tokenizer/conv_${i}/kernel`);
    out = beforeConvolution(out, stageInput(trace, model, i), convolved, stage, kernel);
  }
  return out;
}

/** All of a pooled cell's slope goes to the largest cell of its window, the first one on a tie; padding gets nothing. */
function beforePool(slope: Float32Array, map: FeatureMap, pooled: FeatureMap, stage: ConvStage): Float32Array {
  const { channels, height, width } = map;
  const out = new Float32Array(map.data.length);
  const top = poolSlide(stage, height).before;
  const left = poolSlide(stage, width).before;
  for (let at = 0; at < slope.length; at++) {
    const cell = Math.floor(at / channels);
    const y0 = Math.floor(cell / pooled.width) * stage.poolStride - top;
    const x0 = (cell % pooled.width) * stage.poolStride - left;
    const winner = findWinner(map, pooled.data[at], at % channels, y0, x0, stage);
    if (winner >= 0) out[winner] += slope[at];
  }
  return out;
}

/** The place in `map` of the first cell of a window that has the window's largest value; -1 where a zero of the padding
 * comes first. */
function findWinner(map: FeatureMap, value: number, channel: number, y0: number, x0: number, stage: ConvStage): number {
  const { poolSize: size, poolZeroPadding: zeros } = stage;
  for (let y = Math.max(y0, -zeros); y < Math.min(y0 + size, map.height + zeros); y++) {
    for (let x = Math.max(x0, -zeros); x < Math.min(x0 + size, map.width + zeros); x++) {
      const inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
      const at = (y * map.width + x) * map.channels + channel;
      if ((inside ? map.data[at] : 0) === value) return inside ? at : -1;
    }
  }
  return -1;
}

/** @param input what the convolution reads, of which the slope is given back; `map` what it makes */
function beforeConvolution(
  slope: Float32Array,
  input: FeatureMap,
  map: FeatureMap,
  stage: ConvStage,
  kernel: Float32Array,
): Float32Array {
  const { kernelSize: size, stride, channels } = stage;
  const inner = size * size * input.channels;
  const windows = multiply(
    matrix(map.height * map.width, channels, slope),
    transpose(matrix(inner, channels, kernel)),
  ).values; // (h w, size size c)
  const out = new Float32Array(input.data.length);
  const top = convSlide(stage, input.height).before;
  const left = convSlide(stage, input.width).before;
  for (let at = 0; at < windows.length; at++) {
    const cell = Math.floor(at / inner);
    const offset = Math.floor((at % inner) / input.channels);
    const y = Math.floor(cell / map.width) * stride - top + Math.floor(offset / size);
    const x = (cell % map.width) * stride - left + (offset % size);
    if (y >= 0 && y < input.height && x >= 0 && x < input.width) {
      out[(y * input.width + x) * input.channels + (at % input.channels)] += windows[at];
    }
  }
  return out;
}
