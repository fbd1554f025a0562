// Matrices and what a transformer does with them. Sums run in float64; results are kept as float32.

/**
 * A matrix laid over an array: its entry (i, j) is values[start + i * down + j * across].
 * @typedef {object} Matrix
 * @property {Float32Array} values @property {number} rows @property {number} columns
 * @property {number} start @property {number} down @property {number} across
 */

/** @returns {Matrix} `values`, or zeros, row by row */
export const matrix = (rows, columns, values = new Float32Array(rows * columns)) => ({ values, rows, columns, start: 0, down: columns, across: 1 });

// Parts of a matrix that share its values: nothing is copied.
export const transpose = (x) => ({ ...x, rows: x.columns, columns: x.rows, down: x.across, across: x.down });
export const columnsOf = (x, first, count) => ({ ...x, columns: count, start: x.start + first * x.across });
export const rowsOf = (x, first, count) => ({ ...x, rows: count, start: x.start + first * x.down });

export const MASKED = -1e9; // added to a masked score: exp() of it is exactly 0
const TILE = 4; // rows and columns of the product at a time: sixteen sums fit a processor's registers

/**
 * a b, written to `out`. Four columns of b at a time are copied side by side, so that the innermost loop runs through
 * memory in order whichever way b lies; only a must lie row by row.
 * @param {Matrix} a @param {Matrix} b @param {Matrix} out
 */
export function multiply(a, b, out = matrix(a.rows, b.columns)) {
  const inner = a.columns, panel = new Float32Array(inner * TILE), sums = new Float64Array(TILE * TILE);
  for (let j = 0; j < b.columns; j += TILE) {
    const width = Math.min(TILE, b.columns - j);
    for (let c = 0; c < width; c++) {
      for (let k = 0, at = b.start + (j + c) * b.across; k < inner; k++, at += b.down) panel[k * TILE + c] = b.values[at];
    }
    for (let i = 0; i < a.rows; i += TILE) {
      const height = Math.min(TILE, a.rows - i), row = (r) => a.start + Math.min(i + r, a.rows - 1) * a.down;
      multiplyTile(a.values, row(0), row(1), row(2), row(3), panel, inner, sums);
      for (let r = 0; r < height; r++) {
        for (let c = 0; c < width; c++) out.values[out.start + (i + r) * out.down + (j + c) * out.across] = sums[r * TILE + c];
      }
    }
  }
  return out;
}

/** Four rows of `a`, which begin at r0 to r3, times the four columns of `panel`. */
function multiplyTile(a, r0, r1, r2, r3, panel, inner, sums) {
  let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
  let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
  for (let k = 0, at = 0; k < inner; k++, at += TILE) {
    const b0 = panel[at], b1 = panel[at + 1], b2 = panel[at + 2], b3 = panel[at + 3];
    const a0 = a[r0 + k], a1 = a[r1 + k], a2 = a[r2 + k], a3 = a[r3 + k];
    s00 += a0 * b0; s01 += a0 * b1; s02 += a0 * b2; s03 += a0 * b3;
    s10 += a1 * b0; s11 += a1 * b1; s12 += a1 * b2; s13 += a1 * b3;
    s20 += a2 * b0; s21 += a2 * b1; s22 += a2 * b2; s23 += a2 * b3;
    s30 += a3 * b0; s31 += a3 * b1; s32 += a3 * b2; s33 += a3 * b3;
  }
  sums[0] = s00; sums[1] = s01; sums[2] = s02; sums[3] = s03; sums[4] = s10; sums[5] = s11; sums[6] = s12; sums[7] = s13;
  sums[8] = s20; sums[9] = s21; sums[10] = s22; sums[11] = s23; sums[12] = s30; sums[13] = s31; sums[14] = s32; sums[15] = s33;
}

/** x + y, entry by entry, of two matrices that lie row by row. */
export const add = (x, y) => matrix(x.rows, x.columns, x.values.map((value, i) => value + y.values[i]));

/** Adds (columns,) `row` to every row of x, in place. */
export function addToRows(x, row) {
  for (let i = 0, at = 0; i < x.rows; i++) for (let j = 0; j < x.columns; j++, at++) x.values[at] += row[j];
  return x;
}

/** Makes every row of x, in place, positive with sum 1. */
export function softmaxRows(x) {
  for (let i = 0; i < x.rows; i++) {
    const from = i * x.columns, to = from + x.columns;
    let top = -Infinity, total = 0;
    for (let at = from; at < to; at++) if (x.values[at] > top) top = x.values[at];
    for (let at = from; at < to; at++) total += x.values[at] = Math.exp(x.values[at] - top);
    for (let at = from; at < to; at++) x.values[at] /= total;
  }
  return x;
}

/** Every row less its mean, over its standard deviation; then times gamma, plus beta. */
export function layerNorm(x, gamma, beta, epsilon) {
  const out = matrix(x.rows, x.columns), n = x.columns;
  for (let from = 0; from < x.values.length; from += n) {
    let mean = 0, variance = 0;
    for (let j = 0; j < n; j++) mean += x.values[from + j] / n;
    for (let j = 0; j < n; j++) variance += (x.values[from + j] - mean) ** 2 / n;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let j = 0; j < n; j++) out.values[from + j] = gamma[j] * (x.values[from + j] - mean) * scale + beta[j];
  }
  return out;
}

/** x Phi(x), Phi the normal distribution, in place. */
export function gelu(x) {
  for (let at = 0; at < x.values.length; at++) x.values[at] *= 0.5 * (1 + erf(x.values[at] * Math.SQRT1_2));
  return x;
}

/** The approximation of gelu with tanh, in place (Hendrycks and Gimpel 2016). */
export function geluTanh(x) {
  const slope = Math.sqrt(2 / Math.PI);
  for (let at = 0; at < x.values.length; at++) {
    const v = x.values[at];
    x.values[at] = 0.5 * v * (1 + Math.tanh(slope * (v + 0.044715 * v * v * v)));
  }
  return x;
}

const ODD = Float64Array.from({ length: 100 }, (_, n) => 2 / (2 * n + 1));

/**
 * The error function, to 2e-8: 2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...), a series without a minus
 * in which nothing cancels (Abramowitz and Stegun 1964, 7.1.6).
 */
export function erf(x) {
  const square = x * x;
  if (!(square < 16)) return Math.sign(x); // 1 - erf(4) is 1.5e-8
  let term = 1, total = 1;
  for (let n = 1; term > 1e-9 * total; n++) total += term *= square * ODD[n];
  return 2 / Math.sqrt(Math.PI) * Math.exp(-square) * x * total;
}
