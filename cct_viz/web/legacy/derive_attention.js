// What attention says under the visitor's choices: rows and columns of every head, and rollout split into its paths.

import { mixThrough, sum, through } from "./maths.js";

const MAX_LAYERS = 4; // 2^4 pictures are the most that anybody looks at

/**
 * @param {import("./data.js").Data} data
 * @param {(name: string, choices: any[], make: () => any) => any} keep
 * @param {(layer: number, alpha: number | "measured") => ArrayLike<number>} alphaOf
 */
export function createAttention(data, keep, alphaOf) {
  const { m, first, layers } = data;

  /** (M, M) of a layer's head; of all its heads fused where `head` is null or the payload holds no single heads. */
  const matrixOf = (s, layer, head) => (head === null || !data.hasHeads ? data.fused(layer, s.fusion) : data.head(layer, head));
  const matrix = (s) => matrixOf(s, s.layer, s.head);

  /** (M,) where the chosen token looks; with none chosen, every row weighted as the model reads the tokens out. */
  const row = (s, layer = s.layer, head = s.head) => {
    if (s.token === null) return keep(`asked ${layer} ${head}`, [s.fusion], () => through(data.readout, matrixOf(s, layer, head)));
    const from = (s.token + first) * m;
    return matrixOf(s, layer, head).subarray(from, from + m);
  };

  /** (M,) who looks at the chosen token, each with the share of its own attention; null with none chosen. */
  const column = (s, layer = s.layer, head = s.head) => {
    if (s.token === null) return null;
    const values = matrixOf(s, layer, head), out = new Float32Array(m);
    for (let i = 0, at = s.token + first; i < m; i++, at += m) out[i] = values[at];
    return out;
  };

  /** (N,) image tokens of the row or, where the visitor asks who looks at the token, of the column. */
  const seen = (s, layer, head) => keep(`seen ${layer} ${head}`, [s.token, s.direction, s.fusion], () => (
    (s.direction === "column" && column(s, layer, head)) || row(s, layer, head)).subarray(first));
  const lookedAt = (s, layer) => seen(s, layer, s.head);
  const looked = (s) => seen(s, s.layer, s.head);

  /** L + 1 rows (M,): the readout, then walked back through one layer more each. */
  const rollout = (s) => keep("rollout", [s.fusion, s.alpha], () => {
    const steps = [Float64Array.from(data.readout)];
    for (let layer = layers - 1; layer >= 0; layer--) steps.push(mixThrough(steps.at(-1), data.fused(layer, s.fusion), alphaOf(layer, s.alpha)));
    return steps;
  });

  /** (N,) the rollout step that is looked at: where the answer comes from, walked back through so many layers. */
  const rolled = (s) => keep("rolled", [rollout(s), s.step], () => rollout(s)[Math.min(s.step, layers)].slice(first));

  /**
   * The rollout split by the layers in which a path went through attention instead of past it: every subset of up to
   * four layers, else by the number of attentions. Row p sums to its mass, and all rows together are the rollout.
   * @returns {{names: string[], masses: number[], rows: Float64Array[], maps: Float64Array[]}} maps: (N,), each path's own
   */
  const paths = (s) => keep("paths", [s.fusion, s.alpha], () => {
    const walk = { data, fusion: s.fusion, alpha: (layer) => alphaOf(layer, s.alpha) };
    const { names, rows } = layers > MAX_LAYERS ? byCount(walk) : bySubset(walk);
    const masses = rows.map(sum);
    return { names, masses, rows, maps: rows.map((values, p) => values.slice(first).map((v) => (masses[p] > 0 ? v / masses[p] : 0))) };
  });

  return { matrix, row, column, seen, looked, lookedAt, rollout, rolled, paths };
}

const past = (row, alpha) => row.map((v, i) => v * (1 - alpha[i]));
const attended = (row, attention, alpha) => through(row.map((v, i) => v * alpha[i]), attention);

function bySubset({ data, fusion, alpha }) {
  const backwards = Array.from({ length: data.layers }, (_, i) => data.layers - 1 - i);
  const subsets = backwards.flatMap((_, size) => choose(backwards, size)).concat([backwards]);
  return {
    names: subsets.map((layers) => (layers.length ? `attention ${layers.map((layer) => layer + 1).join(", then ")}` : "past all attention")),
    rows: subsets.map((chosen) => backwards.reduce((row, layer) => (
      chosen.includes(layer) ? attended(row, data.fused(layer, fusion), alpha(layer)) : past(row, alpha(layer))
    ), Float64Array.from(data.readout))),
  };
}

function byCount({ data, fusion, alpha }) {
  let rows = [Float64Array.from(data.readout)];
  for (let layer = data.layers - 1; layer >= 0; layer--) {
    const through = rows.map((row) => attended(row, data.fused(layer, fusion), alpha(layer)));
    rows = [...rows.map((row) => past(row, alpha(layer))), new Float64Array(data.m)];
    through.forEach((row, count) => row.forEach((v, i) => { rows[count + 1][i] += v; }));
  }
  return { names: rows.map((_, count) => `${count} of ${data.layers} attentions`), rows };
}

/** Every choice of `size` items, in their order. */
function choose(items, size) {
  if (!size) return [[]];
  return items.flatMap((item, i) => choose(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
