// From what a model saw to what the explorer draws from: the payload that Python's make_payload sends, made in the page.

import { stageGeometry } from "./geometry.js";
import { matrix, multiply } from "./kernels.js";
import { findPool } from "./pools.js";

/**
 * The picture in hand, as `preparePicture` of picture.js makes it.
 * @typedef {object} Picture
 * @property {Uint8Array} pixels (H, W, 3) what the model is given @property {string} pixelsAddress the same as an image's address
 * @property {string} photo address of the crop that is shown
 * @property {[number, number]} original height and width of the upright picture
 * @property {[number, number, number, number]} crop y0 x0 y1 x1 in it, end exclusive
 *
 * @typedef {{model: string, facts: string[], picture: string, prior?: Float32Array | null, link?: string | null}} About
 *   prior (N,) the mean pooling weights over a data set; link as in Python's About
 */

/**
 * The payload of one pass: an object whose arrays are typed arrays, which a worker can send. None lies in the weights'
 * file: sent, it would take the whole file along. Unlike what travels from Python nothing is rounded, and single heads
 * are there however many they are.
 * @param {import("./model.js").Model} model @param {import("./model.js").Seen} seen
 * @param {Picture} picture @param {About} about
 */
export function makePayload({ config, weights }, seen, picture, about) {
  const { num_tokens: n, sequence_length: m, embedding_dim: dim, num_layers: layers, num_heads: heads, num_classes: k } = config;
  const weight = (name) => weights.get(name).values;
  const head = matrix(dim, k, weight("head/kernel"));
  const tokens = matrix(n, dim, seen.representation.values.subarray((m - n) * dim));
  const pool = findPool(config.pool), parts = pool.parts?.(tokens) ?? null;
  const share = seen.pooling_weights?.values ?? pool.readout(tokens, m);
  return {
    version: 1,
    about: { model: about.model, facts: about.facts, picture: about.picture, link: about.link ?? null, modelFile: null },
    pool: config.pool, block: config.block, output: config.output, labels: config.labels, grid: config.grid, layers, heads, tokens: m,
    photo: picture.photo, pixels: picture.pixelsAddress, size: config.image_size, original: picture.original, crop: picture.crop,
    stages: stageGeometry(config).map((stage, i) => {
      const [rows, columns, channels] = seen[`feature_map_${i}`].shape;
      return {
        windows: array(stage.windows, rows, columns, 4), centres: array(stage.centres, rows, columns, 2), stride: stage.stride, window: stage.window,
        maps: array(channelsFirst(seen[`feature_map_${i}`].values, channels), channels, rows, columns),
      };
    }),
    attentions: array(new Float32Array(seen.attentions_0.values.buffer), layers, heads, m, m),
    fused: null,
    alpha: array(attentionShares(config, seen), layers, m),
    readout: array(share, share.length),
    weights: seen.pooling_weights ?? null, scores: seen.pool_scores ?? null,
    prior: about.prior ? array(about.prior, n) : null,
    evidence: array(multiply(tokens, head).values, n, k),
    contributions: parts && array(multiply(parts, head).values, n, k),
    logits: seen.logits, bias: array(weight("head/bias").slice(), k),
    maps: [], // Python's generic maps: what the page draws, it computes itself
  };
}

const array = (values, ...shape) => ({ values, shape });

/** (cells, channels) as (channels, cells). */
function channelsFirst(values, channels) {
  const cells = values.length / channels, out = new Float32Array(values.length);
  for (let cell = 0, at = 0; cell < cells; cell++) for (let c = 0; c < channels; c++, at++) out[c * cells + cell] = values[at];
  return out;
}

/** (L, M): |attention output| / (|attention output| + |stream|), Euclidean norms, for each layer and token. */
function attentionShares({ num_layers: layers, sequence_length: m, embedding_dim: dim }, seen) {
  const shares = new Float32Array(layers * m);
  const norm = ({ values }, token) => Math.hypot(...values.subarray(token * dim, (token + 1) * dim));
  for (let layer = 0; layer < layers; layer++) {
    for (let token = 0; token < m; token++) {
      const added = norm(seen[`attention_output_${layer}`], token), kept = norm(seen[`stream_${layer}`], token);
      shares[layer * m + token] = added + kept > 0 ? added / (added + kept) : 0;
    }
  }
  return shares;
}
