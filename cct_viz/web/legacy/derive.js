// What follows from a payload and the visitor's choices. Each result is kept until one of its choices changes.

import { createAttention } from "./derive_attention.js";
import { contrast, descending, pool, sum } from "./maths.js";
import { isModel as weighsAsModel, weigh } from "./pooling.js";

/** @param {import("./data.js").Data} data */
export function createDerived(data) {
  const kept = new Map();
  /** @template T @param {string} name @param {any[]} choices @param {() => T} make @returns {T} */
  function keep(name, choices, make) {
    const before = kept.get(name);
    if (before && before.choices.every((choice, i) => choice === choices[i])) return before.result;
    const result = make();
    kept.set(name, { choices, result });
    return result;
  }

  /** (N,) the pooling weights under the visitor's choices, or null where the model has none. */
  const weights = (s) => keep("weights", [s.pooling, s.beta, s.seed, s.painted, s.dropped], () => weigh(data, s));

  const isModel = (s) => weighsAsModel(data, s);

  /** (K,) the answer under the visitor's weights. */
  const logits = (s) => keep("logits", [weights(s)], () => (!isModel(s) ? pool(weights(s), data.evidence, data.bias) : Float64Array.from(data.logits)));
  const probabilities = (s) => keep("probabilities", [logits(s)], () => data.probabilitiesOf(logits(s)));

  /** (N,) what each token says for class a over class b (or over the mean class, or alone), in logits. */
  const evidence = (s) => keep("evidence", [s.a, s.b], () => contrast(data.evidence, data.k, s.a, s.b, data.exclusive));

  /** (N,) what each token adds to that; null with a class token, where scores do not split into tokens. */
  const contribution = (s) => keep("contribution", [s.a, s.b, weights(s)], () => {
    if (data.maxContributions) return contrast(data.maxContributions, data.k, s.a, s.b, data.exclusive);
    return data.weights && evidence(s).map((v, t) => v * weights(s)[t]);
  });

  /** Class a over class b of a (K,) list; b null is the mean class, or nothing where classes do not compete. */
  const over = (list, s) => list[s.a] - (s.b !== null ? list[s.b] : data.exclusive ? list.reduce((x, y) => x + y, 0) / data.k : 0);

  const alphaOf = (layer, alpha) => (alpha === "measured" ? data.measuredAlpha(layer) : new Float32Array(data.m).fill(alpha));

  const attention = createAttention(data, keep, alphaOf);

  const strengths = (stage) => keep(`strengths ${stage}`, [], () => strengthsOf(data.stages[stage]));

  /** The feature map that is looked at: (rows * columns,) of its stage. */
  const feature = (s) => keep("feature", [s.feature], () => {
    const { maps, rows, columns } = data.stages[s.feature.stage], size = rows * columns;
    return maps.subarray(s.feature.channel * size, (s.feature.channel + 1) * size);
  });

  return { weights, logits, probabilities, evidence, contribution, over, ...attention, strengths, feature, isModel, alphaOf };
}

/** The best class other than `a`. */
export const runnerUp = (logits, a) => descending(logits).find((c) => c !== a);

/** (channels,) of a conv stage: the energy sqrt(mean of squares) of each of its feature maps. */
export function strengthsOf({ maps, rows, columns, channels }) {
  const size = rows * columns;
  return Float64Array.from({ length: channels }, (_, c) => Math.sqrt(sum(maps.subarray(c * size, (c + 1) * size).map((v) => v * v)) / size));
}
