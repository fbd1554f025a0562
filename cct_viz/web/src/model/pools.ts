/**
 * How the encoder's tokens are pooled into one vector, as in cct_viz/architecture/pools.py, by the pool's name in
 * config.json. Everything that is computed by pool is in its entry; what the page says by pool is in i18n/, by the same
 * name.
 *
 * The pooled vector is z_d = sum_t f_td r_td with the pool's factors f. Contributions, gradients and direct logit
 * attribution follow from them.
 */

import { lookUp } from "../core/lookup.ts";
import { matrix, type Matrix, multiply, softmaxRows } from "../core/matrix.ts";

/** The pool scores a . r_t + a0: a (D,) and a0. */
export interface PoolScore {
  readonly kernel: Float32Array;
  readonly bias: number;
}

/** Pooling weights (N,), summing to 1, and where they are a softmax the scores (N,) before it. */
export interface Weighed {
  readonly weights: Float32Array;
  readonly scores: Float32Array | null;
}

export interface Pool {
  /** Whether a class token is prepended to the image tokens. */
  readonly classToken: boolean;
  /** Whether class scores split into one part for each image token. */
  readonly splits: boolean;
  /** Whether the pooling weights are softmax(a . r_t + a0). */
  readonly hasScores: boolean;
  /** The pooling weights of the representation (N, D); null for a pool that has no weights. */
  readonly weigh: ((r: Matrix, score: PoolScore | null) => Weighed) | null;
  /** (M, D), or (M, 1) where all channels of a token have the same factor. */
  readonly factors: (r: Matrix, weights: Float32Array | null) => Matrix;
  /** Multiply-accumulates for so many tokens of so many numbers. */
  readonly macs: (tokens: number, dim: number) => number;
}

const weightsAsFactors = (r: Matrix, weights: Float32Array | null): Matrix =>
  matrix(r.rows, 1, weights ?? new Float32Array(r.rows));

const free = (): number => 0;

const WITHOUT_CLASS_TOKEN = { classToken: false, splits: true, hasScores: false, macs: free };

export const POOLS: Readonly<Record<string, Pool>> = {
  seqpool: {
    ...WITHOUT_CLASS_TOKEN,
    hasScores: true,
    weigh: softmaxOfScores,
    factors: weightsAsFactors,
    macs: (tokens, dim) => 2 * tokens * dim, // scores, then the weighted sum
  },
  mean: {
    ...WITHOUT_CLASS_TOKEN,
    weigh: (r) => ({ weights: new Float32Array(r.rows).fill(1 / r.rows), scores: null }),
    factors: weightsAsFactors,
  },
  max: { ...WITHOUT_CLASS_TOKEN, weigh: null, factors: winnersAsFactors },
  class_token: {
    classToken: true,
    splits: false,
    hasScores: false,
    macs: free,
    weigh: null,
    factors(r) {
      const first = matrix(r.rows, 1);
      first.values[0] = 1;
      return first;
    },
  },
};

export const findPool = (name: string): Pool => lookUp(POOLS, "pool", name);

/** (1, D): the pooled vector; 0 where no token is left. */
export function poolTokens(factors: Matrix, r: Matrix): Matrix {
  if (factors.columns === 1) return multiply(matrix(1, r.rows, factors.values), r);
  const pooled = matrix(1, r.columns);
  for (let at = 0; at < r.rows * r.columns; at++) {
    pooled.values[at % r.columns] += factors.values[at] * r.values[r.start + at];
  }
  return pooled;
}

/** (M,) summing to 1, or 0 where no token is left: how much of the pooled vector comes from each token. */
export function readoutOf(factors: Matrix): Float32Array {
  const readout = new Float32Array(factors.rows);
  let total = 0;
  for (let at = 0; at < factors.values.length; at++) {
    readout[Math.floor(at / factors.columns)] += factors.values[at];
    total += factors.values[at];
  }
  return total > 0 ? readout.map((share) => share / total) : readout;
}

function softmaxOfScores(r: Matrix, score: PoolScore | null): Weighed {
  if (!score) throw new Error("sequence pooling needs its score's weights");
  const scores = multiply(r, matrix(r.columns, 1, score.kernel)).values.map((value) => value + score.bias);
  return { weights: softmaxRows(matrix(1, r.rows, scores.slice())).values, scores };
}

/** 1 where a token has the largest value of a channel, the first of equals; else 0. */
function winnersAsFactors(r: Matrix): Matrix {
  const factors = matrix(r.rows, r.columns);
  for (let d = 0; d < (r.rows ? r.columns : 0); d++) {
    let best = 0;
    const at = (t: number) => r.start + t * r.down + d;
    for (let t = 1; t < r.rows; t++) if (r.values[at(t)] > r.values[at(best)]) best = t;
    factors.values[best * r.columns + d] = 1;
  }
  return factors;
}
