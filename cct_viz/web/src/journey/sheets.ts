// The maps that each conv stage paints, and the window that each of their cells sees: a pure function of the drawing.

import type { Box } from "../hero/layout.ts";
import { cellsOf, type Rectangle } from "../hero/patches.ts";
import type { Scene } from "../hero/scene.ts";

/** From the unit square to the drawing: a c e / b d f of a canvas. */
export type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

export interface StageSheets {
  readonly rows: number;
  readonly columns: number;
  /** One for each map that is shown, the front one last. */
  readonly sheets: readonly Matrix[];
  /** What the window slides over: the picture as the model gets it, or the maps of the stage before. */
  readonly sources: readonly Box[];
  /** The window of a cell in shares of a source: y0 x0 y1 x1. */
  readonly window: (cell: number) => Rectangle;
}

/** Of each conv stage; a stage whose maps have no room in the drawing has no sheets. */
export function sheetsOf({ layout, trace }: Scene): StageSheets[] {
  const last = trace.stages.length - 1,
    [height, width] = trace.config.imageSize;
  return trace.stages.map((geometry, stage) => {
    const { rows, columns, windows } = geometry,
      flats = stage < last ? layout.flats[stage] : undefined,
      deck = stage === last ? layout.deck : null,
      before = layout.flats[stage - 1],
      previous = trace.stages[stage - 1];
    return {
      rows,
      columns,
      sheets: flats
        ? flats.tops.map((y): Matrix => [flats.width, 0, 0, flats.height, flats.x, y])
        : deck
          ? Array.from({ length: deck.sheets }, (_, i): Matrix => {
              return [deck.width, -deck.shear, 0, deck.height, deck.x + i * deck.step, deck.y];
            })
          : [],
      sources: before
        ? before.tops.map((y) => ({ x: before.x, y, width: before.width, height: before.height }))
        : [layout.pixels ?? layout.photo],
      window: (cell) =>
        before && previous
          ? shares(cellsOf(trace, stage - 1, cell, stage), previous.rows, previous.columns)
          : shares(windows.subarray(4 * cell, 4 * cell + 4), height, width),
    };
  });
}

const shares = (
  [y0 = 0, x0 = 0, y1 = 0, x1 = 0]: ArrayLike<number> & Iterable<number>,
  h: number,
  w: number,
): Rectangle => [y0 / h, x0 / w, y1 / h, x1 / w];

/** A point of the unit square in the drawing. */
export const at = ([a, b, c, d, e, f]: Matrix, u: number, v: number): readonly [x: number, y: number] => [
  a * u + c * v + e,
  b * u + d * v + f,
];
