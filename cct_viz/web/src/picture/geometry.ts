/** Which pixels a token sees: windows, centres and strides of every conv stage, as cct_viz/architecture/geometry.py. */

import type { Config, ConvStage } from "../model/config.ts";
import { convSlide, poolSlide } from "../model/slide.ts";
import type { StageGeometry } from "../model/trace.ts";

/** One for each conv stage; the last one is of the tokens. */
export function stageGeometry(config: Config): StageGeometry[] {
  return config.stageShapes.map(([rows, columns], last) => {
    const stages = config.tokenizer.slice(0, last + 1);
    const down = walkBack(stages, config.imageSize[0], rows);
    const across = walkBack(stages, config.imageSize[1], columns);
    const windows = new Int16Array(rows * columns * 4);
    const centres = new Float32Array(rows * columns * 2);
    for (let cell = 0; cell < rows * columns; cell++) {
      const y = Math.floor(cell / columns);
      const x = cell % columns;
      windows.set([down.starts[y], across.starts[x], down.ends[y], across.ends[x]], 4 * cell);
      centres.set([down.centres[y], across.centres[x]], 2 * cell);
    }
    return {
      rows,
      columns,
      windows,
      centres,
      stride: [down.stride, across.stride],
      windowSize: [down.size, across.size],
    };
  });
}

interface Axis {
  readonly starts: number[];
  readonly ends: number[];
  readonly centres: number[];
  readonly stride: number;
  readonly size: number;
}

/** One sliding window: its size, its stride, the zeros before the first cell and the cells that it slides along. */
type Sliding = readonly [size: number, stride: number, before: number, length: number];

/** Along one axis of `length` pixels, from the cells of the last stage back to the pixels. */
function walkBack(stages: readonly ConvStage[], length: number, cells: number): Axis {
  let starts = Array.from({ length: cells }, (_, i) => i);
  let ends = starts.map((i) => i + 1); // clipped: padding holds no pixel
  let first = 0; // before clipping, the window of cell i is first + i * stride, of this size
  let stride = 1;
  let size = 1;
  for (const [window, step, before, inside] of slidings(stages, length).reverse()) {
    const clip = (at: number, low: number) => Math.min(Math.max(at, low), inside);
    starts = starts.map((start) => clip(start * step - before, 0));
    ends = ends.map((end, i) => clip((end - 1) * step - before + window, starts[i])); // empty in the padding
    [first, stride, size] = [first * step - before, stride * step, (size - 1) * step + window];
  }
  return { starts, ends, centres: starts.map((_, i) => first + i * stride + size / 2), stride, size };
}

/** Convolutions and pools from the pixels on. */
function slidings(stages: readonly ConvStage[], length: number): Sliding[] {
  return stages.flatMap((stage): Sliding[] => {
    const convolution = convSlide(stage, length);
    const layers: Sliding[] = [[stage.kernelSize, stage.stride, convolution.before, length]];
    length = convolution.places;
    if (stage.poolSize) {
      const pool = poolSlide(stage, length);
      layers.push([stage.poolSize, stage.poolStride, pool.before, length]);
      length = pool.places;
    }
    return layers;
  });
}

/** A box in pixels, end exclusive. */
export interface Box {
  readonly y0: number;
  readonly x0: number;
  readonly y1: number;
  readonly x1: number;
}

/** The pixels that a cell depends on. */
export function windowOf(stage: StageGeometry, cell: number): Box {
  const [y0, x0, y1, x1] = stage.windows.subarray(4 * cell, 4 * cell + 4);
  return { y0, x0, y1, x1 };
}

/** The centre of a cell's window before clipping, in pixels. */
export const centreOf = (stage: StageGeometry, cell: number): { y: number; x: number } => ({
  y: stage.centres[2 * cell],
  x: stage.centres[2 * cell + 1],
});
