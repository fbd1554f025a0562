/** How much memory the engine of a model needs (wasm_engine.ts): its layers' weights, and the results of one step. */

import { sizeOf } from "../core/arrays.ts";
import type { Config } from "./config.ts";
import { expectedShapes } from "./shapes.ts";
import { convSlide, poolSlide } from "./slide.ts";
import { WINDOWS_AT_ONCE } from "./tokenizer.ts";

const WIDE = 8; // columns of a panel
const ALIGNMENT = 4; // floats

/** For the ends of arrays, which are rounded up: three floats each at most. */
const SPARE = 256;

/** The next multiple of `step`. */
export const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

/** The floats that a matrix takes in panels of eight columns, each with a row of biases. */
export const sizeOfPanels = (inner: number, columns: number): number => (inner + 1) * roundUp(columns, WIDE);

/** The floats that a model needs at most, at once. */
export function memorySize(config: Config): number {
  let weights = 0;
  let largest = 0; // is copied as it is before it is packed
  for (const shape of expectedShapes(config).values()) {
    const columns = shape[shape.length - 1];
    const inner = sizeOf(shape) / columns;
    weights += shape.length > 1 ? sizeOfPanels(inner, columns) : roundUp(columns, ALIGNMENT);
    largest = Math.max(largest, sizeOf(shape));
  }
  return weights + Math.max(largest, ...convStages(config), block(config)) + SPARE;
}

/** For each conv stage its input, some of its windows, its convolution and its pool. */
function convStages(config: Config): number[] {
  let [height, width] = config.imageSize;
  let channels: number = config.channels;
  return config.tokenizer.map((stage) => {
    const input = height * width * channels;
    const windows = WINDOWS_AT_ONCE * stage.kernelSize ** 2 * channels;
    [height, width] = [convSlide(stage, height).places, convSlide(stage, width).places];
    const convolved = height * width * stage.channels;
    if (stage.poolSize) [height, width] = [poolSlide(stage, height).places, poolSlide(stage, width).places];
    channels = stage.channels;
    return input + windows + convolved + height * width * channels + channels;
  });
}

/** Ten arrays as wide as the stream, q, k, v and what the heads join, the MLP, the attention, and a packed operand. */
function block({ sequenceLength: m, embeddingDim: dim, numHeads, keyDim, mlpDim }: Config): number {
  return m * (10 * dim + 4 * numHeads * keyDim + mlpDim + numHeads * m) + sizeOfPanels(m + WIDE, keyDim + WIDE);
}
