// What the lesson's steps share: what they are, what they know of a picture, and the question for its largest values.

import { runnerUp } from "./derive.js";
import { argmax, contrast, descending, pool, sum } from "./maths.js";
import { place } from "./words.js";

/**
 * @typedef {object} Question
 * @property {"token" | "choice" | "state"} kind a token is touched, one of `options` chosen, or the explorer set and checked
 * @property {string} text
 * @property {[any, string][]=} options
 * @property {(given: any) => {right: boolean, words: string}} check given: the token, the option's value or the State
 * @property {string} answer a right one, said after two wrong tries
 * @property {boolean=} release let the token go after a wrong try, so that the maps follow the pointer again
 *
 * @typedef {object} Step
 * @property {string} name @property {string} title
 * @property {Partial<import("./store.js").State>} place what the explorer shows
 * @property {string[]=} free fields of `place` that are the visitor's to change
 * @property {string[]} sentences
 * @property {Question | null} question null where this picture leaves nothing to ask
 */

const TOP = 3; // so many of the largest are right
const SLACK = 0.01; // of a map's range: no eye tells more apart

/** @typedef {ReturnType<typeof readFacts>} Facts */
export function readFacts({ data, derived }) {
  const { labels, k, n, columns } = data, a = argmax(data.logits), b = runnerUp(data.logits, a);
  const evidence = contrast(data.evidence, k, a, b);
  const contribution = data.maxContributions ? contrast(data.maxContributions, k, a, b) : data.weights && evidence.map((v, t) => v * data.weights[t]);
  const at = (token) => place(token, columns), At = (token) => `R${at(token).slice(1)}`;
  /** (K,) probabilities under other pooling weights. */
  const chance = (weights) => data.probabilitiesOf(pool(weights, data.evidence, data.bias));
  /** (K,) those with some tokens taken out of the pool. */
  const without = (tokens) => {
    const weights = Float64Array.from(data.weights);
    for (const t of tokens) weights[t] = 0;
    const total = sum(weights);
    return chance(weights.map((v) => v / (total || 1)));
  };
  /** The pooling panel, with a map over the photo and no token chosen. */
  const atPool = (overlay) => ({ station: "seqpool", overlay, a, b });
  return { data, derived, n, a, b, A: labels[a], B: labels[b], evidence, contribution, at, At, chance, without, atPool };
}

/** The rollout panel at a step that is the readout's own share or one layer's. */
export const readShare = ({ alpha, step }) => ({ station: "attention", attentionView: "rollout", overlay: "rollout", fusion: "mean", alpha, step });

/**
 * A question for one of the three tokens with the largest values; null where all are alike.
 * @param {Facts} facts @param {ArrayLike<number>} values (N,)
 * @param {{text: string, read: (token: number) => string, look: string}} words read: a token's value in words; look: what to look for
 * @returns {Question | null}
 */
export function touchLargest({ n, at, At }, values, { text, read, look }) {
  const order = descending(values), largest = values[order[0]], range = largest - values[order[n - 1]];
  if (!(range > 1e-3 * Math.abs(largest))) return null;
  const least = values[order[Math.min(TOP, n) - 1]] - SLACK * range;
  return {
    kind: "token", text, answer: `${At(order[0])} is right: ${read(order[0])}.`,
    check(token) {
      const rank = 1 + values.filter((v) => v > values[token]).length, right = values[token] >= least;
      return { right, words: `${At(token)}: ${read(token)}, number ${rank} of ${n}.${right ? "" : ` ${look}`}` };
    },
  };
}

/**
 * A question for one of some tokens; null where none or all would do.
 * @param {Facts} facts @param {number[]} wanted the best example first
 * @param {{text: string, read: (token: number) => string, why: (token: number) => string}} words why: what is missing in a wrong one
 * @returns {Question | null}
 */
export function touchOne({ n, At }, wanted, { text, read, why }) {
  if (!wanted.length || wanted.length === n) return null;
  return {
    kind: "token", text, answer: `${At(wanted[0])} is right: ${read(wanted[0])}.`,
    check(token) {
      const right = wanted.includes(token);
      return { right, words: `${At(token)}: ${read(token)}.${right ? "" : ` ${why(token)}`}` };
    },
  };
}

/** Indices of the tokens that pass. */
export const tokensWhere = (n, passes) => Array.from({ length: n }, (_, t) => t).filter(passes);
