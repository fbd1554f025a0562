// How scores become probabilities, as in cct_viz/architecture/outputs.py, by its name in config.json.

import { lookUp } from "./lookup.js";
import { softmax } from "./maths.js";

/**
 * @typedef {object} Output
 * @property {(scores: ArrayLike<number>) => Float64Array} probabilities
 * @property {boolean} exclusive whether classes compete: probabilities sum to 1, and maps are against the mean class
 * @property {string} note what the panel of the classes says of its numbers
 */

/** @type {Record<string, Output>} */
export const OUTPUTS = {
  softmax: {
    probabilities: (scores) => softmax(scores), exclusive: true,
    note: "Softmax turns the scores (logits) into probabilities that sum to 100 %.",
  },
  sigmoid: {
    probabilities: (scores) => Float64Array.from(scores, (score) => 1 / (1 + Math.exp(-score))), exclusive: false,
    note: "A sigmoid turns each score (logit) into a probability of its own: score 0 is 50 %. Probabilities of different classes do not sum to 100 %.",
  },
};

/** @param {string} name @returns {Output} */
export const findOutput = (name) => lookUp(OUTPUTS, "output", name);
