// Other weights for the same tokens, as in cct_viz/methods/laboratory.py. The head is linear, so nothing runs again.

import { argmax, softmax, sum } from "./maths.js";

/** What to set to have the model's own pooling again. */
export const backToModel = () => ({ pooling: "model", beta: 1, painted: null, dropped: new Set() });

/** The pooling that is in force: a choice that this model has not, or that changes nothing, is the model's own. */
export function poolingOf(data, { pooling, beta, painted }) {
  const nothing = {
    beta: !data.scores || beta === 1, mean: !data.scores, top: !data.scores, shuffled: !data.scores,
    prior: !data.prior, painted: !painted || painted.length !== data.n,
  };
  return nothing[pooling] ? "model" : pooling;
}

/** Whether the answers that are shown are the model's own. */
export const isModel = (data, s) => !data.weights || (poolingOf(data, s) === "model" && !s.dropped.size);

/** (N,) weights that sum to 1, or all 0 where no token is left with any; null where the model has no weights. */
export function weigh(data, s) {
  if (!data.weights) return null;
  const chosen = repool(data, s);
  if (isModel(data, s)) return chosen;
  for (const token of s.dropped) chosen[token] = 0;
  const total = sum(chosen);
  return total > 0 ? chosen.map((v) => v / total) : chosen;
}

function repool(data, s) {
  switch (poolingOf(data, s)) {
    case "beta": return softmax(data.scores, s.beta);
    case "mean": return new Float64Array(data.n).fill(1);
    case "top": return oneHot(data.n, topToken(data, s));
    case "shuffled": return shuffle(data.weights, s.seed);
    case "prior": return Float64Array.from(data.prior);
    case "painted": return Float64Array.from(s.painted);
    default: return Float64Array.from(data.weights);
  }
}

/** The token with the largest weight of the model, of those that are not taken out. */
export const topToken = (data, { dropped }) => argmax(data.weights.map((v, t) => (dropped.has(t) ? -1 : v)));

function oneHot(n, token) {
  const row = new Float64Array(n);
  row[token] = 1;
  return row;
}

/** Fisher and Yates, with a small generator (xorshift) of its own so that a seed gives the same order everywhere. */
export function shuffle(values, seed) {
  const order = Float64Array.from(values);
  let state = Math.imul(seed + 1, 2654435761) >>> 0 || 1; // never 0, where it would stay
  for (let i = order.length - 1; i > 0; i--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    const j = state % (i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** The lowest and the highest score of each class that any weights can reach: (K,) each, in logits. */
export function reach({ evidence, bias, k, n }) {
  const low = new Float64Array(k).fill(Infinity), high = new Float64Array(k).fill(-Infinity);
  for (let t = 0; t < n; t++) {
    for (let c = 0; c < k; c++) {
      const v = evidence[t * k + c];
      if (v < low[c]) low[c] = v;
      if (v > high[c]) high[c] = v;
    }
  }
  return { low: low.map((v, c) => v + bias[c]), high: high.map((v, c) => v + bias[c]) };
}
