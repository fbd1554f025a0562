/** The layers of a model by their names in the file: dense layers, norms and what reads the answer. */

import { addToRows, layerNorm, type Matrix, matrix, multiply } from "../core/matrix.ts";
import type { Config } from "./config.ts";
import { findPool, type PoolScore } from "./pools.ts";
import type { Weights } from "./safetensors.ts";

export interface Layers {
  /** The values of an array; null where the model has no such bias. */
  readonly find: (name: string) => Float32Array | null;
  /** The values of an array that every such model has. */
  readonly get: (name: string) => Float32Array;
  /** x kernel + bias. */
  readonly dense: (x: Matrix, name: string) => Matrix;
  readonly norm: (x: Matrix, name: string) => Matrix;
  readonly poolScore: PoolScore | null;
}

export function layersOf(config: Config, weights: Weights): Layers {
  const find = (name: string) => weights.get(name)?.values ?? null;
  const get = (name: string) => {
    const values = find(name);
    if (!values) throw new Error(`the model has no ${name}`);
    return values;
  };
  return {
    find,
    get,
    dense(x, name) {
      const kernel = get(`${name}/kernel`);
      const out = multiply(x, matrix(x.columns, kernel.length / x.columns, kernel));
      const bias = find(`${name}/bias`);
      return bias ? addToRows(out, bias) : out;
    },
    norm: (x, name) => layerNorm(x, get(`${name}/gamma`), get(`${name}/beta`), config.layerNormEpsilon),
    poolScore: findPool(config.pool).hasScores
      ? { kernel: get("pool/score/kernel"), bias: get("pool/score/bias")[0] }
      : null,
  };
}
