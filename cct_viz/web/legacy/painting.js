// Pixels painted over: squares of one colour on a picture (H, W, 3), before the tokenizer sees it.

/** (3,): a picture's mean colour, to the grey level. */
export function meanColour(pixels) {
  const totals = [0, 0, 0];
  pixels.forEach((level, i) => { totals[i % 3] += level; });
  return totals.map((total) => Math.floor((3 * total) / pixels.length + 0.5));
}

export const colourAt = (pixels, cell) => Array.from(pixels.subarray(3 * cell, 3 * cell + 3));

/**
 * A picture of its own, with a square around each of `cells`, cut at the edges.
 * @param {Uint8ClampedArray} pixels (H, W, 3) @param {{width: number, height: number}} size of the picture
 * @param {number[]} cells as row times width plus column @param {number} side of a square, odd @param {number[]} colour
 */
export function paintSquares(pixels, { width, height }, cells, side, colour) {
  const painted = pixels.slice(), reach = (side - 1) / 2;
  for (const cell of cells) {
    const row = Math.floor(cell / width), column = cell % width;
    for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++) {
      for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) painted.set(colour, 3 * (y * width + x));
    }
  }
  return painted;
}

/** The cells where two pictures differ. */
export function differing(one, other) {
  const cells = [];
  for (let cell = 0; cell < one.length / 3; cell++) {
    if ([0, 1, 2].some((c) => one[3 * cell + c] !== other[3 * cell + c])) cells.push(cell);
  }
  return cells;
}

/** How many tokens have any of `cells` in their windows. @param {import("./data.js").Data} data */
export function countSeers(data, cells) {
  let count = 0;
  for (let t = 0; t < data.n; t++) {
    const { y0, x0, y1, x1 } = data.window(t);
    const isSeen = (cell) => { const y = Math.floor(cell / data.width), x = cell % data.width; return y0 <= y && y < y1 && x0 <= x && x < x1; };
    count += Number(cells.some(isSeen));
  }
  return count;
}
