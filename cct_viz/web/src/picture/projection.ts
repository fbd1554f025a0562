/**
 * Between tokens and pixels through the true receptive fields, as cct_viz/methods/projection.py. The tokens of
 * convolutions overlap, and padding shifts their windows, so a stretched grid would be wrong by up to half a window. It
 * is right for patches, which do neither.
 */

import type { StageGeometry } from "../model/trace.ts";

/** (H, W): for each pixel the cell with the nearest window centre, so that every pixel has one owner. */
export function nearestToken(stage: StageGeometry, [height, width]: readonly [number, number]): Int32Array {
  const down = Array.from({ length: stage.rows }, (_, row) => stage.centres[2 * row * stage.columns]);
  const across = Array.from({ length: stage.columns }, (_, column) => stage.centres[2 * column + 1]);
  const rows = Array.from({ length: height }, (_, y) => nearest(down, y + 0.5));
  const columns = Array.from({ length: width }, (_, x) => nearest(across, x + 0.5));
  return Int32Array.from({ length: height * width }, (_, cell) => {
    return rows[Math.floor(cell / width)] * stage.columns + columns[cell % width];
  });
}

/** The first of equally near ones. */
function nearest(centres: readonly number[], at: number): number {
  let best = 0;
  centres.forEach((centre, i) => {
    if (Math.abs(at - centre) < Math.abs(at - centres[best])) best = i;
  });
  return best;
}

/**
 * (H, W): a map over the cells on the pixels. "sum" spreads each cell's value evenly over its window, so that pixels
 * sum to what the cells sum to: for shares. "average" gives each pixel the mean of the cells that see it: for signed
 * maps.
 */
export function spread(
  values: ArrayLike<number>,
  stage: StageGeometry,
  [height, width]: readonly [number, number],
  how: "sum" | "average",
): Float64Array {
  const out = new Float64Array(height * width);
  const seers = new Float64Array(height * width);
  for (let cell = 0; cell < stage.rows * stage.columns; cell++) {
    const [y0, x0, y1, x1] = stage.windows.subarray(4 * cell, 4 * cell + 4);
    const value = how === "sum" ? values[cell] / ((y1 - y0) * (x1 - x0)) : values[cell];
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        out[y * width + x] += value;
        seers[y * width + x]++;
      }
    }
  }
  return how === "sum" ? out : out.map((value, i) => (seers[i] ? value / seers[i] : 0));
}
