/**
 * What a model's arithmetic is done with. The model (forward.ts, tokenizer.ts) is written once, in terms of an Engine:
 * JAVASCRIPT works everywhere, the one of wasm_engine.ts is many times as fast. Both give the same numbers to 4e-6 of the
 * largest.
 */

import { add, addToRows, layerNorm, type Matrix, matrix, multiply, softmaxRows } from "../core/matrix.ts";
import { type Activation, findActivation } from "./activations.ts";

/** x kernel + bias, written to `out` where it is given. */
export type Dense = (x: Matrix, out?: Matrix) => Matrix;

/**
 * Operands are any matrices whose rows lie one after the other; results lie in the engine's own memory, which is why they
 * are made by it and end with their scope. "In place" is for matrices that the engine made.
 */
export interface Engine {
  /** Runs `work`, then takes back all that was made in it: what is to last must be copied. Scopes may be nested. */
  readonly scope: <R>(work: () => R) => R;
  /** Room for a result, row by row; what it holds is not said. */
  readonly matrix: (rows: number, columns: number) => Matrix;
  /** The same values in the engine's memory. */
  readonly take: (values: Float32Array) => Float32Array;
  /** Prepares a layer, once a model. `kernel` is (inputs, outputs), `bias` (outputs,). */
  readonly dense: (kernel: Matrix, bias: Float32Array | null) => Dense;
  /** Prepares a LayerNorm, once a model. */
  readonly norm: (gamma: Float32Array, beta: Float32Array, epsilon: number) => (x: Matrix) => Matrix;
  /** a b; b may lie in any way. */
  readonly multiply: (a: Matrix, b: Matrix, out?: Matrix) => Matrix;
  /** softmax(factor x + penalty) of every row, in place; `penalty` is (columns,). */
  readonly softmaxRows: (x: Matrix, factor: number, penalty: Float32Array | null) => Matrix;
  readonly add: (x: Matrix, y: Matrix) => Matrix;
  /** In place. */
  readonly relu: (x: Matrix) => Matrix;
  /** The activation of this name, in place. */
  readonly activation: (name: string) => Activation;
  /** Copies `count` values. */
  readonly copy: Move;
  /** Puts the larger of both values into `to`, `count` times. */
  readonly larger: Move;
}

/** From `from`, beginning at index `source`, to `to`, beginning at index `target`; both lie in the engine's memory. */
export type Move = (from: Float32Array, source: number, to: Float32Array, target: number, count: number) => void;

export const copyValues: Move = (from, source, to, target, count) => {
  for (let i = 0; i < count; i++) to[target + i] = from[source + i];
};

/** Float32 arrays and sums in float64 (core/matrix.ts). */
export const JAVASCRIPT: Engine = {
  scope: (work) => work(),
  matrix,
  take: (values) => values,
  dense: (kernel, bias) => (x, out) => {
    const product = multiply(x, kernel, out);
    return bias ? addToRows(product, bias) : product;
  },
  norm: (gamma, beta, epsilon) => (x) => layerNorm(x, gamma, beta, epsilon),
  multiply,
  softmaxRows(x, factor, penalty) {
    const { values, columns } = x;
    for (let i = 0; i < values.length; i++) values[i] *= factor;
    if (penalty) for (let i = 0; i < values.length; i++) values[i] += penalty[i % columns];
    return softmaxRows(x);
  },
  add,
  relu(x) {
    for (let i = 0; i < x.values.length; i++) if (x.values[i] < 0) x.values[i] = 0;
    return x;
  },
  activation: findActivation,
  copy: copyValues,
  larger(from, source, to, target, count) {
    for (let i = 0; i < count; i++) if (from[source + i] > to[target + i]) to[target + i] = from[source + i];
  },
};
