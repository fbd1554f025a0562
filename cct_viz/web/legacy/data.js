// A payload opened: arrays decoded once, and the questions that every panel asks of them.

import { decode } from "./arrays.js";
import { findBlock } from "./blocks.js";
import { maximum, sum } from "./maths.js";
import { findOutput } from "./outputs.js";
import { findPool } from "./pools.js";

/**
 * @typedef {object} Stage one conv stage of the tokenizer
 * @property {number} rows @property {number} columns @property {number} channels
 * @property {Int16Array} windows (rows, columns, 4): y0, x0, y1, x1 in model pixels, end exclusive, clipped
 * @property {Float32Array} centres (rows, columns, 2): y, x
 * @property {Float32Array} maps (channels, rows, columns)
 */

/** @param {string | object} json the payload, as text or parsed */
export function openPayload(json) {
  const raw = typeof json === "string" ? JSON.parse(json) : json;
  if (raw.version !== 1) throw new Error(`this page reads payloads of version 1; this one says ${raw.version}`);
  findPool(raw.pool);
  findBlock(raw.block);
  const output = findOutput(raw.output);
  const [rows, columns] = raw.grid, n = rows * columns, m = raw.tokens, first = m - n, k = raw.labels.length;
  const attentions = raw.attentions && decode(raw.attentions);
  const sent = raw.fused && Object.fromEntries(Object.entries(raw.fused).map(([name, array]) => [name, decode(array)]));
  const errors = rowErrors(attentions ?? sent.mean, m); // as they came, before anything makes them sum to 1
  for (const values of attentions ? [attentions] : Object.values(sent)) renormalise(values, m);
  const alpha = decode(raw.alpha), logits = decode(raw.logits);
  const fusedNow = new Map();

  /** (M, M) of one head; null where single heads were not sent. */
  const head = (layer, index) => attentions && attentions.subarray((layer * raw.heads + index) * m * m, (layer * raw.heads + index + 1) * m * m);

  /** (M, M) of a layer, fused over its heads, rows summing to 1. */
  function fused(layer, fusion) {
    if (sent) return sent[fusion].subarray(layer * m * m, (layer + 1) * m * m);
    const name = `${layer} ${fusion}`;
    if (!fusedNow.has(name)) fusedNow.set(name, fuse(Array.from({ length: raw.heads }, (_, i) => head(layer, i)), m, fusion));
    return fusedNow.get(name);
  }

  return {
    about: raw.about, pool: raw.pool, block: raw.block, labels: raw.labels, rows, columns, n, m, k,
    /** Index of the first image token in the encoder: 1 after a class token, else 0. */
    first,
    layers: raw.layers, heads: raw.heads, photo: raw.photo, pixels: raw.pixels, height: raw.size[0], width: raw.size[1],
    original: raw.original, crop: raw.crop,
    /** @type {Stage[]} */
    stages: raw.stages.map((stage) => {
      const [channels, h, w] = stage.maps.shape;
      return { rows: h, columns: w, channels, stride: stage.stride, window: stage.window, windows: decode(stage.windows), centres: decode(stage.centres), maps: decode(stage.maps) };
    }),
    hasHeads: attentions !== null, head, fused,
    /** The largest distance from 1 of a row's sum, as the model gave it, in one head or in all of a layer's. */
    rowError: (layer, index) => (attentions ? maximum(index === null ? errors.slice(layer * raw.heads, (layer + 1) * raw.heads) : [errors[layer * raw.heads + index]]) : errors[layer]),
    /** (M,) share of attention in each token's residual step, as measured on this picture. */
    measuredAlpha: (layer) => alpha.subarray(layer * m, (layer + 1) * m),
    readout: decode(raw.readout), weights: decode(raw.weights), scores: decode(raw.scores), prior: decode(raw.prior),
    evidence: decode(raw.evidence), maxContributions: decode(raw.contributions),
    logits, bias: decode(raw.bias), probabilities: output.probabilities(logits),
    /** (K,) probabilities of any scores of this model. */
    probabilitiesOf: output.probabilities,
    /** Whether the classes compete: probabilities sum to 1, and a class without another is held against the mean class. */
    exclusive: output.exclusive, outputNote: output.note,
    /** {y0, x0, y1, x1} in model pixels of what a token sees, and its {y, x} centre. */
    window(token) {
      const last = raw.stages.length - 1, { windows, centres } = this.stages[last];
      const [y0, x0, y1, x1] = windows.subarray(4 * token, 4 * token + 4);
      return { y0, x0, y1, x1, y: centres[2 * token], x: centres[2 * token + 1] };
    },
  };
}

/** @typedef {ReturnType<typeof openPayload>} Data */

/** The largest distance from 1 of a row's sum in each of the square matrices. */
function rowErrors(values, m) {
  return Array.from({ length: values.length / (m * m) }, (_, i) => maximum(
    Array.from({ length: m }, (_, row) => Math.abs(sum(values.subarray((i * m + row) * m, (i * m + row + 1) * m)) - 1))));
}

/** Make rows of m values sum to 1, in square matrices one after the other; a row of nothing stays with itself. */
function renormalise(values, m) {
  for (let start = 0; start < values.length; start += m) {
    let total = 0;
    for (let j = start; j < start + m; j++) total += values[j];
    if (total > 0) for (let j = start; j < start + m; j++) values[j] /= total;
    else values[start + ((start / m) % m)] = 1;
  }
  return values;
}

function fuse(heads, m, fusion) {
  const fused = new Float32Array(m * m);
  for (let i = 0; i < fused.length; i++) {
    let value = heads[0][i];
    for (let a = 1; a < heads.length; a++) {
      const other = heads[a][i];
      value = fusion === "mean" ? value + other : fusion === "max" ? Math.max(value, other) : Math.min(value, other);
    }
    fused[i] = fusion === "mean" ? value / heads.length : value;
  }
  return renormalise(fused, m);
}
