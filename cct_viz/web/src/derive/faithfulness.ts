/**
 * Faithfulness of a map: tokens are taken away in the order of the map and the probability of the class recorded, as
 * cct_viz/evaluation/faithfulness.py with the protocol "token_drop": a token that is away never reaches the encoder.
 * Inserting in an order is deleting in its reverse. Source: Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421;
 * Bluecher et al. 2024, https://arxiv.org/abs/2401.06654. Limit: a good score means only that the model needs the
 * tokens ranked first, or that they are enough, not that the map is right.
 */

import { mean } from "../core/maths.ts";
import { shuffle } from "../core/random.ts";

/** Which curve: "deletion" takes the first tokens away, "insertion" has only the first ones. */
export type Curve = "deletion" | "insertion";

/** (N,) the tokens, largest value first; equal ones in random order, because the grid's own order is not random. */
export function rank(values: ArrayLike<number>, seed: number): number[] {
  const tokens = Array.from(values, (_, t) => t);
  return Array.from(shuffle(tokens, seed)).sort((a, b) => values[b] - values[a]);
}

/**
 * `count` (even) random orders of n tokens, every second the reverse of the one before, so that their mean SRG is 0.
 */
export function randomOrders(n: number, count: number, seed: number): number[][] {
  const tokens = Array.from({ length: n }, (_, t) => t);
  return Array.from({ length: count / 2 }, (_, i) => Array.from(shuffle(tokens, seed + i))).flatMap((order) => [
    order,
    [...order].reverse(),
  ]);
}

/** How many tokens are away at each of `points` even steps, the same from both ends; rising from 0 to n. */
export function spreadSteps(n: number, points = n): number[] {
  const count = Math.min(points, n);
  const first = Array.from({ length: Math.floor(count / 2) + 1 }, (_, i) => Math.floor((i * n) / count + 0.5));
  return [...new Set([...first, ...first.map((step) => n - step)])].sort((a, b) => a - b);
}

/** (N,) of 0 and 1: a mask without some of n tokens. */
export function maskWithout(n: number, tokens: Iterable<number>): Uint8Array {
  const mask = new Uint8Array(n).fill(1);
  for (const token of tokens) mask[token] = 0;
  return mask;
}

/** The masks at each of `steps` along one order. */
export const masksAlong = (order: readonly number[], steps: readonly number[], which: Curve): Uint8Array[] =>
  steps.map((count) => maskWithout(order.length, which === "deletion" ? order.slice(0, count) : order.slice(count)));

/** The area under a curve over the share of tokens, by trapezoid. */
export function areaUnder(steps: readonly number[], curve: ArrayLike<number>): number {
  let area = 0;
  for (let i = 1; i < steps.length; i++) area += ((steps[i] - steps[i - 1]) * (curve[i] + curve[i - 1])) / 2;
  return area / steps[steps.length - 1];
}

/** Insertion - deletion, as areas: 0 in expectation for a random order; high is good. */
export const srg = (steps: readonly number[], curves: Readonly<Record<Curve, ArrayLike<number>>>): number =>
  areaUnder(steps, curves.insertion) - areaUnder(steps, curves.deletion);

/** The share of `among` below `value`, ties counted half; 0.5 among nothing. */
export const percentile = (value: number, among: readonly number[]): number =>
  among.length ? mean(among.map((other) => Number(other < value) + 0.5 * Number(other === value))) : 0.5;

/** What it means that a map does better than this share, 0 to 1, of random orders. */
export function judge(share: number): "better" | "unclear" | "chance" {
  if (share >= 0.95) return "better";
  return share <= 0.5 ? "chance" : "unclear";
}
