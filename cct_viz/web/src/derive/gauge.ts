// How usual a picture is for a model, as cct_viz/inference/gauge.py counts it. A gauge, no verdict.

import type { Gauge } from "../core/entries.ts";
import { matrix } from "../core/matrix.ts";
import { poolTokens } from "../model/pools.ts";
import type { Trace } from "../model/trace.ts";

/** (D,): the pooled vector, which the head reads; null where a server gave the trace without it. */
export function pooledOf({ config, vectors }: Trace): Float32Array | null {
  if (!vectors) return null;
  const { representation, poolingFactors, embeddingDim: dim } = vectors,
    rows = config.sequenceLength;
  const factors = matrix(rows, poolingFactors.length / rows, poolingFactors);
  return poolTokens(factors, matrix(rows, dim, representation)).values;
}

/** |(v - mean) root|: the distance of a pooled vector (D,) from the mean of the validation images. */
export function distanceOf({ mean, root }: Gauge, pooled: Float32Array): number {
  const dim = mean.length,
    parts = new Float64Array(dim);
  for (let i = 0; i < dim; i++) {
    const offset = pooled[i] - mean[i];
    for (let j = 0; j < dim; j++) parts[j] += offset * root[i * dim + j];
  }
  return Math.hypot(...parts);
}

/** Of 100 validation images, how many are nearer to their mean than the picture: 0 to 100. */
export function fartherThan(gauge: Gauge, pooled: Float32Array): number {
  const distance = distanceOf(gauge, pooled);
  return Math.min(100, Math.max(0, gauge.distances.filter((one) => one <= distance).length - 1));
}
