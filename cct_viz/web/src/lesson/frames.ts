// Where a token lies on the picture: its place in the grid, or the window that it sees.

import type { Trace } from "../model/trace.ts";

/** In pixels of the model's input. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export function frameOf({ config, grid, receptiveFields }: Trace, token: number, window: boolean): Frame {
  if (window) {
    const [y0, x0, y1, x1] = receptiveFields.subarray(4 * token, 4 * token + 4);
    return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  }
  const [height, width] = config.imageSize,
    [high, wide] = [height / grid.rows, width / grid.columns];
  return { x: (token % grid.columns) * wide, y: Math.floor(token / grid.columns) * high, width: wide, height: high };
}
