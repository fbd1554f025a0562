/**
 * Rollout paths: attention rollout split by the layers in which a path goes through attention instead of along the
 * residual connection, as cct_viz/methods/rollout_paths.py. Source: ours, from Abnar and Zuidema 2020. Limit: mass
 * measures attention, not effect on the class score.
 */

import { sum, timesMatrix } from "../core/maths.ts";
import type { Trace } from "../model/trace.ts";
import { attentionMatrix } from "./attention.ts";
import { attentionShares, type RolloutOptions } from "./rollout.ts";

/** 2^4 maps; more would not be readable. Models with more layers are grouped by the number of attentions. */
const MOST_LAYERS = 4;

export interface RolloutPath {
  /** The layers, counted from 0 and the last first, whose attention the path uses; null where paths are grouped. */
  readonly layers: readonly number[] | null;
  /** How many attentions it uses. */
  readonly count: number;
  /** The share of the rollout along this path; all masses sum to 1. */
  readonly mass: number;
  /** (M,) its part of the rollout, which sums to its mass. All parts sum to the rollout. */
  readonly row: Float64Array;
}

export function rolloutPaths(trace: Trace, options: RolloutOptions = {}): RolloutPath[] {
  const { fusion = "mean", alpha = 0.5 } = options;
  const shares = (layer: number) => attentionShares(trace, layer, alpha);
  const walk: Walk = {
    trace,
    past: (row, layer) => row.map((value, i) => value * (1 - shares(layer)[i])),
    through: (row, layer) =>
      timesMatrix(
        row.map((value, i) => value * shares(layer)[i]),
        attentionMatrix(trace, layer, null, fusion),
      ),
  };
  return trace.config.numLayers > MOST_LAYERS ? byCount(walk) : bySubset(walk);
}

interface Walk {
  readonly trace: Trace;
  readonly past: (row: Float64Array, layer: number) => Float64Array;
  readonly through: (row: Float64Array, layer: number) => Float64Array;
}

const backwards = (trace: Trace): number[] =>
  Array.from({ length: trace.config.numLayers }, (_, i) => trace.config.numLayers - 1 - i);

function bySubset({ trace, past, through }: Walk): RolloutPath[] {
  const order = backwards(trace);
  const sizes = Array.from({ length: order.length + 1 }, (_, size) => size);
  return sizes
    .flatMap((size) => choose(order, size))
    .map((layers) => {
      let row: Float64Array = Float64Array.from(trace.readout);
      for (const layer of order) row = layers.includes(layer) ? through(row, layer) : past(row, layer);
      return { layers, count: layers.length, mass: sum(row), row };
    });
}

function byCount({ trace, past, through }: Walk): RolloutPath[] {
  const m = trace.config.sequenceLength;
  let rows: Float64Array[] = [Float64Array.from(trace.readout)];
  for (const layer of backwards(trace)) {
    const attended = rows.map((row) => through(row, layer));
    rows = [...rows.map((row) => past(row, layer)), new Float64Array(m)];
    attended.forEach((row, count) => row.forEach((value, i) => (rows[count + 1][i] += value)));
  }
  return rows.map((row, count) => ({ layers: null, count, mass: sum(row), row }));
}

/** Every choice of `size` items, in their order. */
function choose<T>(items: readonly T[], size: number): T[][] {
  if (!size) return [[]];
  return items.flatMap((item, i) => choose(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]));
}
