// Which pixels a token sees: windows, centres and strides of every conv stage's cells, as cct_viz/architecture/geometry.py has them.

import { convSlide, poolSlide } from "./config.js";

/**
 * @param {import("./config.js").Config} config
 * @returns {{windows: Int16Array, centres: Float32Array, stride: number[], window: number[]}[]} for each stage: windows
 *   (rows, columns, 4), y0 x0 y1 x1 in model pixels, end exclusive, clipped; centres (rows, columns, 2), y x, of windows
 *   before clipping; pixels from cell to cell and of a window before clipping, (y, x)
 */
export function stageGeometry(config) {
  return config.stage_shapes.map(([rows, columns], last) => {
    const stages = config.tokenizer.slice(0, last + 1);
    const down = walkBack(stages, config.image_size[0], rows), across = walkBack(stages, config.image_size[1], columns);
    const windows = new Int16Array(rows * columns * 4), centres = new Float32Array(rows * columns * 2);
    for (let row = 0, cell = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++, cell++) {
        windows.set([down.starts[row], across.starts[column], down.ends[row], across.ends[column]], 4 * cell);
        centres.set([down.centres[row], across.centres[column]], 2 * cell);
      }
    }
    return { windows, centres, stride: [down.stride, across.stride], window: [down.size, across.size] };
  });
}

/** Along one axis of `length` pixels, from the cells of the last stage back to the pixels. */
function walkBack(stages, length, cells) {
  let starts = Array.from({ length: cells }, (_, i) => i), ends = starts.map((i) => i + 1); // clipped: padding holds no pixel
  let first = 0, stride = 1, size = 1; // before clipping, cell i's window is first + i * stride, of this size
  function through(window, step, zeros, before) {
    const inside = (at, low) => Math.min(Math.max(at, low), before);
    starts = starts.map((start) => inside(start * step - zeros, 0));
    ends = ends.map((end, i) => inside((end - 1) * step - zeros + window, starts[i])); // empty in the padding
    [first, stride, size] = [first * step - zeros, stride * step, (size - 1) * step + window];
  }
  const layers = [];
  for (const stage of stages) {
    const [convolved, zeros] = convSlide(stage, length);
    layers.push([stage.kernel_size, stage.stride, zeros, length]);
    length = convolved;
    if (stage.pool_size) {
      const [pooled, poolZeros] = poolSlide(stage, convolved);
      layers.push([stage.pool_size, stage.pool_stride, poolZeros, convolved]);
      length = pooled;
    }
  }
  for (const layer of layers.reverse()) through(...layer);
  return { starts, ends, centres: starts.map((_, i) => first + i * stride + size / 2), stride, size };
}
