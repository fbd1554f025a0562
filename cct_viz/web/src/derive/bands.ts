// What a probability is worth: the band of validation images that were answered with about the same.

import type { Band } from "../core/entries.ts";
import { maximum } from "../core/maths.ts";

/** A band of fewer validation images is too small to say how many of 100 are right. */
export const LEAST = 20;

/** The band of a probability, as `find_band` in Python; null for a model without bands. */
export const bandOf = (bands: readonly Band[] | undefined, probability: number): Band | null =>
  bands?.find(({ low, high }) => low <= probability && (probability < high || high === 1)) ?? null;

/** The band of the most probable class. */
export const answerBand = (bands: readonly Band[] | undefined, probabilities: Iterable<number>): Band | null =>
  bandOf(bands, maximum(probabilities));

/** How many answers of 100 in the band of a probability are right; null where too few were measured. */
export function rightOf100(band: Band | null): number | null {
  return band && band.images >= LEAST ? band.of_100 : null;
}
