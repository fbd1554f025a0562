/** Why tokens overlap, and where their centres lie: the windows of a cell and its neighbour over the pixels. */

import type { StageGeometry } from "../model/trace.ts";

/** The cell to the right; at the end of a row the one to the left, and in a single column the one below or above. */
export function neighbour(cell: number, rows: number, columns: number): number | null {
  if (columns > 1) return (cell % columns) + 1 < columns ? cell + 1 : cell - 1;
  if (rows > 1) return cell < rows - 1 ? cell + 1 : cell - 1;
  return null;
}

export interface Overlap {
  /** Pixels that neighbours share, down and right; negative where pixels between them are seen by no cell. */
  readonly shared: readonly [number, number];
  /** The most cells that see one pixel. */
  readonly mostSeers: number;
  /** How far a grid stretched over the picture would miss the centre of the middle cell, in pixels: down, right. */
  readonly miss: readonly [number, number];
}

export function overlapOf(stage: StageGeometry, size: readonly [number, number]): Overlap {
  const { rows, columns, centres, stride, windowSize } = stage;
  const row = rows >> 1;
  const column = columns >> 1;
  const middle = row * columns + column;
  return {
    shared: [windowSize[0] - stride[0], windowSize[1] - stride[1]],
    mostSeers: mostSeers(stage, size),
    miss: [
      centres[2 * middle] - ((row + 0.5) * size[0]) / rows,
      centres[2 * middle + 1] - ((column + 0.5) * size[1]) / columns,
    ],
  };
}

/** The most windows down that hold one row of pixels times the most across, as windows are boxes. */
function mostSeers({ rows, columns, windows }: StageGeometry, [height, width]: readonly [number, number]): number {
  const most = (count: number, length: number, boxOf: (i: number) => readonly [number, number]) => {
    const held = new Int32Array(length);
    for (let i = 0; i < count; i++) {
      const [from, to] = boxOf(i);
      for (let at = from; at < to; at++) held[at]++;
    }
    return held.reduce((a, b) => Math.max(a, b), 0);
  };
  const down = most(rows, height, (r) => [windows[4 * r * columns], windows[4 * r * columns + 2]]);
  return down * most(columns, width, (c) => [windows[4 * c + 1], windows[4 * c + 3]]);
}
