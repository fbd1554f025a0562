/**
 * Attention: which tokens attend to which, as cct_viz/methods/attention.py. Limit: attention does not show what is
 * moved: the value vectors may be near zero.
 */

import { maximum, timesMatrix } from "../core/maths.ts";
import { normaliseRows } from "../core/matrix.ts";
import type { Fusion, Trace } from "../model/trace.ts";

/** (M, M), rows are queries and sum to 1: one head, or with null all heads of the layer fused. */
export function attentionMatrix(
  trace: Trace,
  layer: number,
  head: number | null,
  fusion: Fusion = "mean",
): Float32Array {
  return head === null || !trace.attentions ? fusedAttention(trace, layer, fusion) : headAttention(trace, layer, head);
}

/** Index of the first image token in the encoder: 1 after a class token, else 0. */
export const firstToken = (trace: Trace): number => Number(trace.config.hasClassToken);

/**
 * (M,) where an image token attends to. Without a token, every row weighted as the model reads the tokens out.
 * @param token 0 to N - 1
 */
export function attentionFrom(
  trace: Trace,
  token: number | null,
  layer: number,
  head: number | null,
  fusion: Fusion = "mean",
): Float64Array {
  const matrix = attentionMatrix(trace, layer, head, fusion);
  if (token === null) return timesMatrix(trace.readout, matrix);
  const m = trace.config.sequenceLength;
  const from = (token + firstToken(trace)) * m;
  return Float64Array.from(matrix.subarray(from, from + m));
}

/** (M,) which tokens attend to an image token, each with the share of its own attention. */
export function attentionTo(
  trace: Trace,
  token: number,
  layer: number,
  head: number | null,
  fusion: Fusion = "mean",
): Float64Array {
  const matrix = attentionMatrix(trace, layer, head, fusion);
  const m = trace.config.sequenceLength;
  return Float64Array.from({ length: m }, (_, query) => matrix[query * m + token + firstToken(trace)]);
}

/** (N,) the image tokens of a row (M,) of the encoder. */
export const imageTokens = <A extends Float64Array | Float32Array>(trace: Trace, row: A): A =>
  row.subarray(firstToken(trace)) as A;

function headAttention(trace: Trace, layer: number, head: number): Float32Array {
  const { sequenceLength: m, numHeads } = trace.config;
  const from = (layer * numHeads + head) * m * m;
  return (trace.attentions as Float32Array).subarray(from, from + m * m);
}

const kept = new WeakMap<Trace, Map<string, Float32Array>>();

/** Computed once for each trace. */
function fusedAttention(trace: Trace, layer: number, fusion: Fusion): Float32Array {
  const { sequenceLength: m, numHeads } = trace.config;
  if (trace.fused) return trace.fused[fusion].subarray(layer * m * m, (layer + 1) * m * m);
  const fused = kept.get(trace) ?? new Map<string, Float32Array>();
  kept.set(trace, fused);
  const name = `${layer} ${fusion}`;
  const before = fused.get(name);
  if (before) return before;
  const made = fuse(
    Array.from({ length: numHeads }, (_, head) => headAttention(trace, layer, head)),
    m,
    fusion,
  );
  fused.set(name, made);
  return made;
}

const FUSE: Readonly<Record<Fusion, (one: number, other: number) => number>> = {
  mean: (one, other) => one + other, // the rows are normalised afterwards
  max: Math.max,
  min: Math.min,
};

function fuse(heads: readonly Float32Array[], m: number, fusion: Fusion): Float32Array {
  const join = FUSE[fusion];
  const fused = Float64Array.from(heads[0]);
  for (const head of heads.slice(1)) for (let i = 0; i < fused.length; i++) fused[i] = join(fused[i], head[i]);
  return Float32Array.from(normaliseRows(fused, m));
}

/** The largest distance from 1 of a row's sum, in one head or in all heads of a layer; 0 where heads are not known. */
export function rowError(trace: Trace, layer: number, head: number | null): number {
  const { sequenceLength: m, numHeads } = trace.config;
  if (!trace.attentions) return 0;
  const heads = head === null ? Array.from({ length: numHeads }, (_, i) => i) : [head];
  return maximum(
    heads.map((one) => {
      const values = headAttention(trace, layer, one);
      return maximum(
        Array.from({ length: m }, (_, row) => {
          let total = 0;
          for (let at = row * m; at < (row + 1) * m; at++) total += values[at];
          return Math.abs(total - 1);
        }),
      );
    }),
  );
}
