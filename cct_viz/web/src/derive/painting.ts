/** Pixels painted over: squares of one colour on a picture (H, W, 3), before the tokenizer sees it. */

import type { StageGeometry } from "../model/trace.ts";

export type Colour = readonly [number, number, number];

/** A picture's mean colour, to the grey level; halves are rounded to even, as NumPy does. */
export function meanColour(pixels: Uint8Array): Colour {
  const totals = [0, 0, 0];
  pixels.forEach((level, i) => (totals[i % 3] += level));
  const [red, green, blue] = totals.map((total) => roundHalfEven((3 * total) / pixels.length));
  return [red, green, blue];
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below === 0.5) return below + (below % 2);
  return Math.floor(value + 0.5);
}

export function colourAt(pixels: Uint8Array, cell: number): Colour {
  const [red, green, blue] = pixels.subarray(3 * cell, 3 * cell + 3);
  return [red, green, blue];
}

/**
 * The picture with a square around each of `cells`, cut at the edges.
 * @param size height and width of the picture
 * @param cells row times width plus column
 * @param side of a square, odd
 * @param colour of every cell, or of each
 */
export function paintSquares(
  pixels: Uint8Array,
  [height, width]: readonly [number, number],
  cells: readonly number[],
  side: number,
  colour: Colour | ((cell: number) => Colour),
): Uint8Array {
  const painted = pixels.slice();
  const reach = (side - 1) / 2;
  for (const cell of cells) {
    const row = Math.floor(cell / width);
    const column = cell % width;
    for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++) {
      for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) {
        const at = y * width + x;
        painted.set(typeof colour === "function" ? colour(at) : colour, 3 * at);
      }
    }
  }
  return painted;
}

/** The cells on a straight stroke from one to another, both among them, without a gap. */
export function stroke(from: number, to: number, width: number): number[] {
  const [y0, x0, y1, x1] = [Math.floor(from / width), from % width, Math.floor(to / width), to % width];
  const steps = Math.max(Math.abs(y1 - y0), Math.abs(x1 - x0), 1);
  return Array.from({ length: steps + 1 }, (_, i) => {
    return Math.round(y0 + ((y1 - y0) * i) / steps) * width + Math.round(x0 + ((x1 - x0) * i) / steps);
  });
}

/** The cells where two pictures differ. */
export function differing(one: Uint8Array, other: Uint8Array): number[] {
  const cells = Array.from({ length: one.length / 3 }, (_, cell) => cell);
  return cells.filter((cell) => [0, 1, 2].some((c) => one[3 * cell + c] !== other[3 * cell + c]));
}

/** How many tokens have any of `cells` in their windows. */
export function countSeers({ windows }: StageGeometry, cells: readonly number[], width: number): number {
  let count = 0;
  for (let at = 0; at < windows.length; at += 4) {
    const isSeen = (cell: number) => {
      const y = Math.floor(cell / width);
      const x = cell % width;
      return windows[at] <= y && y < windows[at + 2] && windows[at + 1] <= x && x < windows[at + 3];
    };
    count += Number(cells.some(isSeen));
  }
  return count;
}
