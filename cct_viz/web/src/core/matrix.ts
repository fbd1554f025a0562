/**
 * Matrices and what a transformer does with them. Results are kept as float32; sums run in float64, which costs nothing
 * in JavaScript and makes the order of summation irrelevant.
 */

/** A matrix laid over an array: its entry (i, j) is values[start + i * down + j * across]. */
export interface Matrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly columns: number;
  readonly start: number;
  readonly down: number;
  readonly across: number;
}

/** `values`, or zeros, row by row. */
export const matrix = (
  rows: number,
  columns: number,
  values: Float32Array = new Float32Array(rows * columns),
): Matrix => ({
  values,
  rows,
  columns,
  start: 0,
  down: columns,
  across: 1,
});

// Parts of a matrix that share its values: nothing is copied.

export const transpose = (x: Matrix): Matrix => ({
  ...x,
  rows: x.columns,
  columns: x.rows,
  down: x.across,
  across: x.down,
});

export const columnsOf = (x: Matrix, first: number, count: number): Matrix => ({
  ...x,
  columns: count,
  start: x.start + first * x.across,
});

export const rowsOf = (x: Matrix, first: number, count: number): Matrix => ({
  ...x,
  rows: count,
  start: x.start + first * x.down,
});

/** A copy of the given rows, one below the other. */
export function takeRows(x: Matrix, rows: readonly number[]): Matrix {
  const out = matrix(rows.length, x.columns);
  rows.forEach((row, i) => {
    const from = x.start + row * x.down;
    out.values.set(x.values.subarray(from, from + x.columns), i * x.columns);
  });
  return out;
}

/** Rows and columns of the product that are computed at a time: sixteen sums fit the registers of a processor. */
const TILE = 4;

/**
 * a b, written to `out`. Both are copied as float64, which saves a conversion in each product, and so that the
 * innermost loop runs through memory in order whichever way they lie: a row by row, b four columns at a time side by
 * side.
 */
export function multiply(a: Matrix, b: Matrix, out = matrix(a.rows, b.columns)): Matrix {
  const inner = a.columns;
  const rows = copyRows(a);
  const panel = new Float64Array(inner * TILE);
  const sums = new Float64Array(TILE * TILE);
  const last = (a.rows - 1) * inner;
  for (let j = 0; j < b.columns; j += TILE) {
    const width = Math.min(TILE, b.columns - j);
    for (let c = 0; c < width; c++) {
      for (let k = 0, at = b.start + (j + c) * b.across; k < inner; k++, at += b.down)
        panel[k * TILE + c] = b.values[at];
    }
    for (let i = 0; i < a.rows; i += TILE) {
      const from = i * inner;
      const [r1, r2, r3] = [from + inner, from + 2 * inner, from + 3 * inner];
      multiplyTile(rows, from, Math.min(r1, last), Math.min(r2, last), Math.min(r3, last), panel, inner, sums);
      const height = Math.min(TILE, a.rows - i);
      for (let r = 0; r < height; r++) {
        let at = out.start + (i + r) * out.down + j * out.across;
        for (let c = 0; c < width; c++, at += out.across) out.values[at] = sums[r * TILE + c];
      }
    }
  }
  return out;
}

/** (rows, columns) row by row. */
function copyRows(x: Matrix): Float64Array {
  const out = new Float64Array(x.rows * x.columns);
  for (let i = 0, at = 0; i < x.rows; i++) {
    let from = x.start + i * x.down;
    for (let j = 0; j < x.columns; j++, at++, from += x.across) out[at] = x.values[from];
  }
  return out;
}

/** Four rows of `a`, which begin at r0 to r3, times the four columns of `panel`; the sixteen sums row by row. */
// prettier-ignore
function multiplyTile(
  a: Float64Array, r0: number, r1: number, r2: number, r3: number,
  panel: Float64Array, inner: number, sums: Float64Array,
): void {
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
  sums[0] = s00; sums[1] = s01; sums[2] = s02; sums[3] = s03;
  sums[4] = s10; sums[5] = s11; sums[6] = s12; sums[7] = s13;
  sums[8] = s20; sums[9] = s21; sums[10] = s22; sums[11] = s23;
  sums[12] = s30; sums[13] = s31; sums[14] = s32; sums[15] = s33;
}

/** x + y, entry by entry, of two matrices that lie row by row. */
export function add(x: Matrix, y: Matrix): Matrix {
  const out = matrix(x.rows, x.columns);
  for (let i = 0; i < out.values.length; i++) out.values[i] = x.values[x.start + i] + y.values[y.start + i];
  return out;
}

/** Adds (columns,) `row` to every row of x, in place. */
export function addToRows(x: Matrix, row: ArrayLike<number>): Matrix {
  for (let i = 0, at = x.start; i < x.rows; i++) for (let j = 0; j < x.columns; j++, at++) x.values[at] += row[j];
  return x;
}

/** Makes every row of x positive with sum 1, in place. x lies row by row from the start of its values. */
export function softmaxRows(x: Matrix): Matrix {
  const { values, columns } = x;
  for (let from = 0; from < x.rows * columns; from += columns) {
    const to = from + columns;
    let top = -Infinity;
    for (let at = from; at < to; at++) if (values[at] > top) top = values[at];
    let total = 0;
    for (let at = from; at < to; at++) total += values[at] = Math.exp(values[at] - top);
    for (let at = from; at < to; at++) values[at] /= total;
  }
  return x;
}

/** LayerNorm: every row minus its mean, over its standard deviation; then times gamma, plus beta. (columns,) both. */
export function layerNorm(x: Matrix, gamma: ArrayLike<number>, beta: ArrayLike<number>, epsilon: number): Matrix {
  const out = matrix(x.rows, x.columns);
  const n = x.columns;
  for (let i = 0; i < x.rows; i++) {
    const from = x.start + i * x.down;
    let mean = 0;
    for (let j = 0; j < n; j++) mean += x.values[from + j] / n;
    let variance = 0;
    for (let j = 0; j < n; j++) variance += (x.values[from + j] - mean) ** 2 / n;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let j = 0; j < n; j++) out.values[i * n + j] = gamma[j] * (x.values[from + j] - mean) * scale + beta[j];
  }
  return out;
}

/** Rows of m values >= 0, each scaled in place to sum to 1; a row of zeros becomes that of the identity matrix. */
export function normaliseRows<A extends Float64Array | Float32Array>(values: A, m: number): A {
  for (let row = 0; row < values.length / m; row++) {
    const from = row * m;
    let total = 0;
    for (let at = from; at < from + m; at++) total += values[at];
    if (total > 0) for (let at = from; at < from + m; at++) values[at] /= total;
    else values[from + (row % m)] = 1;
  }
  return values;
}
