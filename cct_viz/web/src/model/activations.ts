/**
 * What stands between the two layers of an MLP, as in cct_viz/architecture/activations.py, by its name in config.json.
 */

import { lookUp } from "../core/lookup.ts";
import type { Matrix } from "../core/matrix.ts";

/** Changes a matrix, which lies row by row, in place and gives it back. */
export type Activation = (x: Matrix) => Matrix;

const inPlace =
  (of: (value: number) => number): Activation =>
  (x) => {
    const { values } = x;
    for (let i = 0; i < values.length; i++) values[i] = of(values[i]);
    return x;
  };

export const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  /** x Phi(x), Phi the normal distribution. Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415 */
  gelu: inPlace((x) => x * 0.5 * (1 + erf(x * Math.SQRT1_2))),
  /** The same authors' approximation by tanh. */
  gelu_tanh: inPlace((x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
};

export const findActivation = (name: string): Activation => lookUp(ACTIVATIONS, "activation", name);

const ODD = Float64Array.from({ length: 100 }, (_, n) => 2 / (2 * n + 1));

/**
 * The error function, to 2e-8: 2 / sqrt(pi) exp(-x^2) (x + 2 x^3 / 3 + 4 x^5 / (3 5) + ...), a series without a minus,
 * in which nothing cancels. Source: Abramowitz and Stegun 1964, 7.1.6.
 */
export function erf(x: number): number {
  const square = x * x;
  if (!(square < 16)) return Math.sign(x); // 1 - erf(4) is 1.5e-8
  let term = 1;
  let total = 1;
  for (let n = 1; term > 1e-9 * total; n++) total += term *= square * ODD[n];
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-square) * x * total;
}
