/** The layers of a model by their names in the file: dense layers, norms and what reads the answer. */

import { type Matrix, matrix } from "../core/matrix.ts";
import type { Config } from "./config.ts";
import { type Dense, type Engine, JAVASCRIPT } from "./engine.ts";
import { findPool, type PoolScore } from "./pools.ts";
import type { Weights } from "./safetensors.ts";

export interface Layers {
  /** The values of an array; null where the model has no such bias. */
  readonly find: (name: string) => Float32Array | null;
  /** The values of an array that every such model has. */
  readonly get: (name: string) => Float32Array;
  /** x kernel + bias; of a convolution, x has a window in each row. */
  readonly dense: (x: Matrix, name: string, out?: Matrix) => Matrix;
  readonly norm: (x: Matrix, name: string) => Matrix;
  readonly poolScore: PoolScore | null;
  readonly engine: Engine;
}

/** What reads the answer is summed in float64, so that contributions sum to the logits to the last digits of float32. */
const READOUT = ["pool/score", "head"];

export function layersOf(config: Config, weights: Weights, engine: Engine): Layers {
  const find = (name: string) => weights.get(name)?.values ?? null;
  const get = (name: string) => {
    const values = find(name);
    if (!values) throw new Error(`the model has no ${name}`);
    return values;
  };
  const layers = new Map<string, Dense>();
  for (const [name, { shape, values }] of weights) {
    const [layer, part] = splitName(name);
    const columns = shape[shape.length - 1];
    if (part === "kernel") {
      const kernel = matrix(values.length / columns, columns, values);
      layers.set(layer, (READOUT.includes(layer) ? JAVASCRIPT : engine).dense(kernel, find(`${layer}/bias`)));
    } else if (part === "gamma") {
      layers.set(layer, engine.norm(values, get(`${layer}/beta`), config.layerNormEpsilon));
    }
  }
  const layer = (name: string): Dense => {
    const found = layers.get(name);
    if (!found) throw new Error(`the model has no ${name}`);
    return found;
  };
  return {
    find,
    get,
    dense: (x, name, out) => layer(name)(x, out),
    norm: (x, name) => layer(name)(x),
    poolScore: findPool(config.pool).hasScores
      ? { kernel: get("pool/score/kernel"), bias: get("pool/score/bias")[0] }
      : null,
    engine,
  };
}

/** "block_0/mlp_1/kernel" -> "block_0/mlp_1", "kernel" */
function splitName(name: string): [string, string] {
  const at = name.lastIndexOf("/");
  return [name.slice(0, at), name.slice(at + 1)];
}
