/** A picture (H, W, 3) changed before the tokenizer sees it: painted over, moved about, brighter, turned. */

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

/** The picture with the square around one cell moved to another; `colour` is left in its place. */
export function movePatch(
  pixels: Uint8Array,
  size: readonly [number, number],
  from: number,
  to: number,
  side: number,
  colour: Colour,
): Uint8Array {
  const [height, width] = size;
  const bare = paintSquares(pixels, size, [from], side, colour);
  const down = Math.floor(from / width) - Math.floor(to / width);
  const right = (from % width) - (to % width);
  return paintSquares(bare, size, [to], side, (cell) => {
    const y = Math.floor(cell / width) + down;
    const x = (cell % width) + right;
    const inside = y >= 0 && y < height && x >= 0 && x < width;
    return colourAt(inside ? pixels : bare, inside ? y * width + x : cell);
  });
}

/** Every level times `factor`, at most 255. */
export const brighten = (pixels: Uint8Array, factor: number): Uint8Array =>
  pixels.map((level) => Math.min(255, Math.round(level * factor)));

/** The picture turned clockwise about its centre, read between the pixels; `colour` comes in from outside. */
export function turn(
  pixels: Uint8Array,
  [height, width]: readonly [number, number],
  degrees: number,
  colour: Colour,
): Uint8Array {
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  const [middleY, middleX] = [(height - 1) / 2, (width - 1) / 2];
  const level = (y: number, x: number, channel: number): number =>
    y >= 0 && y < height && x >= 0 && x < width ? pixels[3 * (y * width + x) + channel] : colour[channel];
  return pixels.map((_, i) => {
    const cell = Math.floor(i / 3);
    const [down, right] = [Math.floor(cell / width) - middleY, (cell % width) - middleX];
    const y = middleY + cos * down - sin * right;
    const x = middleX + sin * down + cos * right;
    const [top, left] = [Math.floor(y), Math.floor(x)];
    const row = (at: number): number =>
      level(at, left, i % 3) * (1 + left - x) + level(at, left + 1, i % 3) * (x - left);
    return Math.round(row(top) * (1 + top - y) + row(top + 1) * (y - top));
  });
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
