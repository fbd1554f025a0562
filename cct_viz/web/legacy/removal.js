// Taking tokens away in the order of a map, as in cct_viz/evaluation/faithfulness.py with the protocol "token_drop": a token that
// is away never reaches the encoder. Inserting in an order is deleting in its reverse.

import { mean } from "./maths.js";
import { shuffle } from "./pooling.js";

export const AGAIN = 250; // milliseconds until the model is asked again for what was dropped

/** (N,): the tokens by falling value; equal ones in an order of chance, for the grid's own is none. */
export function rank(values, seed) {
  return Array.from(shuffle(values.map((_, t) => t), seed)).sort((a, b) => values[b] - values[a]);
}

/** `count` orders of n tokens, every second the reverse of the one before, so that their mean difference is 0. */
export function randomOrders(n, count, seed) {
  const tokens = Array.from({ length: n }, (_, t) => t);
  return Array.from({ length: count / 2 }, (_, i) => Array.from(shuffle(tokens, seed + i))).flatMap((order) => [order, [...order].reverse()]);
}

/** How many tokens are away at each of `points` even steps, the same from both ends; rising from 0 to n. */
export function spreadSteps(n, points) {
  const count = Math.min(points, n), first = Array.from({ length: Math.floor(count / 2) + 1 }, (_, i) => Math.floor((i * n) / count + 0.5));
  return [...new Set([...first, ...first.map((step) => n - step)])].sort((a, b) => a - b);
}

/** What is left without some of n tokens, as a text of 0 and 1, so that the same is known again. @param {Iterable<number>} tokens */
export function without(n, tokens) {
  const left = new Uint8Array(n).fill(1);
  for (const token of tokens) left[token] = 0;
  return left.join("");
}

/** What is left at each of `steps` along one order: once so many tokens are away, or have come back. @param {"deletion" | "insertion"} which */
export const alongOrder = (order, steps, which) =>
  steps.map((count) => without(order.length, which === "deletion" ? order.slice(0, count) : order.slice(count)));

/** Under a curve over the share of tokens, by trapezoid. */
export function areaUnder(steps, curve) {
  let area = 0;
  for (let i = 1; i < steps.length; i++) area += ((steps[i] - steps[i - 1]) * (curve[i] + curve[i - 1])) / 2;
  return area / steps.at(-1);
}

/** Linear between the sorted values. */
export function quantile(values, share) {
  const sorted = Float64Array.from(values).sort(), at = share * (sorted.length - 1), below = Math.floor(at);
  return sorted[below] + (at - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}

/** The share of `among` below `value`, ties counted half. */
export const percentile = (value, among) => mean(among.map((other) => Number(other < value) + 0.5 * Number(other === value)));

/** What it means that a map does better than this share of random orders, as in cct_viz/evaluation/faithfulness.py. */
export function judge(share) {
  if (share >= 0.95) return "It points at what this model needs here better than chance.";
  if (share <= 0.5) return "On this picture it is no better than tokens chosen at random: do not read much into it.";
  return "On this picture it is not clearly better than tokens chosen at random.";
}

/** `make` of the arguments at hand, made again only where one of them is another than last time. */
export function keepLast(make) {
  let given = null, result;
  return (...now) => {
    if (!given || now.some((value, i) => value !== given[i])) [given, result] = [now, make(...now)];
    return result;
  };
}

/**
 * Answers of the model, each asked for once and kept by what `without` wrote.
 * @param {(mask: Uint8Array) => Promise<Float32Array>} ask
 */
export function createAnswers(ask) {
  const kept = new Map();
  return {
    /** How many are known. */
    get size() { return kept.size; },
    /** (K,) logits, or undefined while they are not known. */
    of: (left) => kept.get(left),
    async find(left) {
      kept.set(left, await ask(Uint8Array.from(left)));
    },
  };
}
