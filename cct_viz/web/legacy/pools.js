// What reads the answer out of the tokens, as in cct_viz/architecture/pools.py, by its name in config.json. All that the
// page does and says by pool is in its entry.

import { MASKED, matrix, multiply, rowsOf, softmaxRows } from "./kernels.js";
import { lookUp } from "./lookup.js";

/**
 * N image tokens, M tokens in the encoder, D width; tokens and representation are matrices, tokens the image's alone.
 * @typedef {object} Pool
 * @property {boolean} [classToken] whether a token is prepended to the image tokens
 * @property {(dim: number) => [string, number[]][]} [shapes] name below "pool/" and shape of its own weights
 * @property {(representation, mask, dense) => {pooled: object, scores?: ArrayLike<number>, weights?: ArrayLike<number>}} read
 *   the pooled vector (1, D), and where it has them the pool scores and the pooling weights (N,)
 * @property {(tokens, m: number) => Float32Array} [readout] (M,) shares, where there are no pooling weights
 * @property {(tokens) => object} [parts] (N, D) what it takes of each token, where there are no pooling weights and the score splits
 * @property {string} reader completes "it starts at the readout: "
 * @property {[string, string]} station heading and line of its station
 * @property {string} title of its panel
 * @property {string} evidence what the evidence is
 * @property {string} [note] above the maps
 * @property {string} [laboratory] why there is nothing to change in the laboratory
 * @property {string} [worth] what the sum of its contributions does not say
 * @property {{pool: string, contribution: string}} [lesson] its steps, by their names in lesson_pool.js and lesson_trust.js
 */

/** @type {Record<string, Pool>} */
export const POOLS = {
  seqpool: {
    shapes: (dim) => [["score/kernel", [dim, 1]], ["score/bias", [1]]],
    read(representation, mask, dense) {
      const scores = dense(representation, "pool/score"); // (M, 1)
      return { ...weighted(scores, representation, mask), scores: scores.values };
    },
    reader: "SeqPool's weights",
    station: ["SeqPool", "weight × evidence"],
    title: "SeqPool: who voted for what",
    evidence: "what each token says, before pooling weighs it",
    lesson: { pool: "weighed", contribution: "weightAlone" },
  },
  mean: {
    read: (representation, mask) => weighted(matrix(representation.rows, 1), representation, mask),
    reader: "all tokens alike",
    station: ["Mean pool", "every token alike"],
    title: "Mean pooling: who voted for what",
    evidence: "what each token says, before the mean is taken",
    lesson: { pool: "alike", contribution: "weightSaysNothing" },
  },
  max: {
    read: (representation, mask) => ({ pooled: largest(representation, mask) }),
    readout(tokens, m) {
      const row = new Float32Array(m), winners = findWinners(tokens);
      for (const token of winners) row[token] += 1 / winners.length;
      return row;
    },
    parts: wonParts,
    reader: "each token by the channels it wins",
    station: ["Max pool", "channel by channel"],
    title: "Max pooling: who won which channels",
    evidence: "what all of a token's content says, whichever channels it wins",
    note: "Max pooling takes each channel from the token that has most of it. There is no weight for a token: it contributes through the channels that it wins.",
    laboratory: "This model takes each channel from the token that has most of it. A token has no weight of its own, so there is nothing here to change.",
    worth: "With a token gone, others would win its channels. The sum does not say what the model would answer then.",
    lesson: { pool: "byChannel", contribution: "evidenceAlone" },
  },
  class_token: {
    classToken: true,
    read: (representation) => ({ pooled: rowsOf(representation, 0, 1) }),
    readout(tokens, m) {
      const row = new Float32Array(m);
      row[0] = 1;
      return row;
    },
    reader: "the class token",
    station: ["Class token", "reads for all"],
    title: "A class token instead of SeqPool",
    evidence: "what the classifier would make of each token's own content",
    note: "This model reads its answer with a class token, which collects from the image tokens through attention. It has no pooling weights, and its score does not split into parts of tokens; what each token's content says for the class is still shown.",
    laboratory: "This model reads its answer with a class token. Attention has mixed the image tokens into it before, so there are no pooling weights, and nothing here to change.",
    lesson: { pool: "collected", contribution: "contentAlone" },
  },
};

/** @param {string} name @returns {Pool} */
export const findPool = (name) => lookUp(POOLS, "pool", name);

/** The tokens weighed by the softmax of their scores (M, 1). With one score for all it is the mean. */
function weighted(scores, representation, mask) {
  const row = matrix(1, scores.rows, scores.values.map((score, t) => score + (1 - mask[t]) * MASKED));
  softmaxRows(row).values.forEach((share, t) => { row.values[t] = share * mask[t]; });
  return { pooled: multiply(row, representation), weights: row.values };
}

/** Each channel's largest value over the tokens; 0 without any token. */
function largest(tokens, mask) {
  const out = matrix(1, tokens.columns), shown = Array.from({ length: tokens.rows }, (_, t) => t).filter((t) => mask[t]);
  if (shown.length) out.values.fill(-Infinity);
  for (const t of shown) for (let j = 0; j < tokens.columns; j++) out.values[j] = Math.max(out.values[j], tokens.values[t * tokens.columns + j]);
  return out;
}

/** (D,): the token that wins each channel; the first of equals. */
function findWinners({ values, rows, columns }) {
  return Array.from({ length: columns }, (_, j) => {
    let best = 0;
    for (let t = 1; t < rows; t++) if (values[t * columns + j] > values[best * columns + j]) best = t;
    return best;
  });
}

/** The tokens with only those channels that they win; the rest 0. */
function wonParts(tokens) {
  const { values, rows, columns } = tokens, winners = findWinners(tokens);
  return matrix(rows, columns, values.map((value, at) => (winners[at % columns] === Math.floor(at / columns) ? value : 0)));
}
