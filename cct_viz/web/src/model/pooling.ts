/** The pool of a model applied to its tokens, of which some may be masked. */

import { matrix, type Matrix, takeRows } from "../core/matrix.ts";
import { findPool, type PoolScore } from "./pools.ts";

export interface Pooling {
  /** (M, D) or (M, 1): z_d = sum_t f_td r_td; 0 for a masked token. */
  readonly factors: Matrix;
  /** (N,), 0 for a masked token; null for a pool without weights. */
  readonly weights: Float32Array | null;
  /** (N,), of all tokens; null for a pool without scores. */
  readonly scores: Float32Array | null;
}

/**
 * @param r (M, D), the representation
 * @param kept the rows of r that are not masked, a class token among them, in order
 */
export function poolWith(name: string, r: Matrix, kept: readonly number[], score: PoolScore | null): Pooling {
  const pool = findPool(name);
  const part = kept.length === r.rows ? r : takeRows(r, kept);
  const weighed = pool.weigh?.(part, score) ?? null;
  const factors = pool.factors(part, weighed?.weights ?? null);
  return {
    factors: matrix(r.rows, factors.columns, scatter(factors.values, kept, r.rows, factors.columns)),
    weights: weighed && scatter(weighed.weights, kept, r.rows, 1),
    scores: pool.hasScores ? (pool.weigh?.(r, score).scores ?? null) : null,
  };
}

/** Rows of `values` put at the places `kept` of so many rows; 0 elsewhere. */
function scatter(values: Float32Array, kept: readonly number[], rows: number, width: number): Float32Array {
  if (kept.length === rows) return values;
  const out = new Float32Array(rows * width);
  kept.forEach((row, i) => out.set(values.subarray(i * width, (i + 1) * width), row * width));
  return out;
}
