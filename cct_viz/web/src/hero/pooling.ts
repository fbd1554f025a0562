// What the drawing says about the pool: height (share of a token) x length (evidence) = area (contribution).

import { lookUp } from "../core/lookup.ts";
import type { Trace } from "../model/trace.ts";

/**
 * What the height of a token's bar is.
 *
 * "weight": its pooling weight. "equal": all alike, 1 / N (mean pooling). "channels": the share of channels in which it
 * is the maximum (max pooling).
 */
export type Height = "weight" | "equal" | "channels";

export interface Pooling {
  readonly height: Height;
  /** (N,) heights, summing to 1. */
  readonly shares: Float64Array;
  /** (N,) lengths for the target, in logits. */
  readonly lengths: Float64Array;
  /** (N,) contributions to the target, in logits; share x length. */
  readonly contributions: Float64Array;
}

/** By the pool's name. */
export const HEIGHTS: Readonly<Record<string, Height>> = { seqpool: "weight", mean: "equal", max: "channels" };

/** The pool's name, where what is said of it holds for this trace: SeqPool always has weights. */
export const ownPoolOf = (trace: Trace | null): string | null =>
  trace && (trace.config.pool === "seqpool" || !(trace.isRepooled || trace.mask)) ? trace.config.pool : null;

const column = (table: ArrayLike<number>, rows: number, columns: number, at: number): Float64Array =>
  Float64Array.from({ length: rows }, (_, row) => table[row * columns + at] ?? 0);

/**
 * Heights, lengths and areas for one class; null where a class token reads for all.
 *
 * In max pooling a token's length is its contribution over its share of the channels: what it would add if it were the
 * maximum of every channel as it is of those it wins; 0 for a token that wins no channel.
 */
export function poolingOf(trace: Trace, target: number): Pooling | null {
  const { contributions: table, evidence, readout, poolingWeights } = trace,
    { numTokens: n, numClasses } = trace.config;
  if (!table) return null;
  const own = lookUp(HEIGHTS, "pool", trace.config.pool),
    height = own === "equal" && !ownPoolOf(trace) ? "weight" : own,
    contributions = column(table, n, numClasses, target),
    shares = Float64Array.from(poolingWeights ?? readout.slice(-n)),
    lengths =
      height === "channels"
        ? contributions.map((value, t) => (shares[t] ? value / (shares[t] ?? 1) : 0))
        : column(evidence, n, numClasses, target);
  return { height, shares, lengths, contributions };
}

/** (N + 1) the bias and then, token by token, the score of `target` so far, in logits. */
export function runningSum(trace: Trace, target: number): Float64Array {
  const { contributions: table, bias } = trace,
    { numTokens: n, numClasses } = trace.config,
    sums = new Float64Array(n + 1);
  sums[0] = bias[target] ?? 0;
  for (let t = 0; t < n; t++) sums[t + 1] = (sums[t] ?? 0) + (table?.[t * numClasses + target] ?? 0);
  return sums;
}

/** Smallest and largest of all values, and 0. */
export function extent(lists: readonly ArrayLike<number>[]): [number, number] {
  let low = 0,
    high = 0;
  for (const list of lists)
    for (let i = 0; i < list.length; i++) {
      low = Math.min(low, list[i] ?? 0);
      high = Math.max(high, list[i] ?? 0);
    }
  return [low, high];
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  return best;
}

/** The classes that have a row: all of ten, else the five most probable, the explained and the true one. */
export interface ShownClasses {
  /** By probability, the largest first. */
  readonly rows: readonly number[];
  /** How many classes have no row, and the sum of their probabilities. */
  readonly others: number;
  readonly othersProbability: number;
}

export function shownClasses(
  probabilities: ArrayLike<number>,
  wanted: readonly (number | null)[],
  most: number,
): ShownClasses {
  const order = Array.from(probabilities, (_, k) => k).sort(
      (a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0),
    ),
    needed = [...new Set(wanted.filter((k): k is number => k !== null))],
    best = order.length <= most ? order : order.slice(0, Math.max(1, most)),
    missing = needed.filter((k) => !best.includes(k)),
    kept = missing.length ? [...best.slice(0, Math.max(1, best.length - missing.length)), ...missing] : best,
    rows = [...new Set(kept)].sort((a, b) => order.indexOf(a) - order.indexOf(b)),
    shown = rows.reduce((sum, k) => sum + (probabilities[k] ?? 0), 0),
    all = order.reduce((sum, k) => sum + (probabilities[k] ?? 0), 0);
  return { rows, others: order.length - rows.length, othersProbability: Math.max(0, all - shown) };
}
