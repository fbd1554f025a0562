/** Sums, extremes and orders of lists of numbers, and the softmax. */

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** The sum of the products, as far as `one` goes. */
export function dot(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < one.length; i++) total += one[i] * other[i];
  return total;
}

/** NaN for an empty list. */
export const mean = (values: ArrayLike<number> & Iterable<number>): number => sum(values) / values.length;

/** -Infinity for an empty list. */
export function maximum(values: Iterable<number>): number {
  let top = -Infinity;
  for (const value of values) if (value > top) top = value;
  return top;
}

/** Infinity for an empty list. */
export function minimum(values: Iterable<number>): number {
  let low = Infinity;
  for (const value of values) if (value < low) low = value;
  return low;
}

/** The largest distance from 0; 0 for an empty list. */
export function extent(values: Iterable<number>): number {
  let top = 0;
  for (const value of values) top = Math.max(top, Math.abs(value));
  return top;
}

/** The index of the largest value; the first of equals. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Indices, the largest value first; equals in their own order. */
export const descending = (values: ArrayLike<number>): number[] =>
  Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b);

/** softmax(beta * scores): positive numbers that sum to 1. */
export function softmax(scores: ArrayLike<number>, beta = 1): Float64Array {
  const raised = Float64Array.from(scores, (score) => beta * score);
  const top = maximum(raised);
  let total = 0;
  for (let i = 0; i < raised.length; i++) total += raised[i] = Math.exp(raised[i] - top);
  return raised.map((value) => value / total);
}

/** 1 / (1 + exp(-score)) of each score: a probability of its own each. */
export const sigmoid = (scores: ArrayLike<number>): Float64Array =>
  Float64Array.from(scores, (score) => 1 / (1 + Math.exp(-score)));

/**
 * The effective number of tokens, exp(entropy) of a map of shares: N if all are equal, 1 if one has all, 0 if empty.
 */
export function effectiveTokens(share: Iterable<number>): number {
  const values = Float64Array.from(share);
  const total = sum(values);
  if (!(total > 0)) return 0;
  let entropy = 0;
  for (const value of values) if (value > 0) entropy -= (value / total) * Math.log(value / total);
  return Math.exp(entropy);
}

/** Linear between the sorted values; `share` 0 is the smallest, 1 the largest. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/** Row vector (M,) times a matrix (M, M) that lies row by row. */
export function timesMatrix(row: ArrayLike<number>, matrix: ArrayLike<number>): Float64Array {
  const m = row.length;
  const out = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    const weight = row[i];
    if (weight) for (let j = 0, at = i * m; j < m; j++) out[j] += weight * matrix[at + j];
  }
  return out;
}
