/**
 * One identity at every depth, as cct_viz/methods/input_split.py: the same class score, split over the tokens before,
 * between and after the blocks.
 *
 * With the decisions of the network frozen, y_c = sum_t <G^l_ct, x^l_t> + k^l_c at every depth l, exactly. At the pool
 * the parts are the contributions. Before the first block they are what each token brought in before any mixing, with
 * the positional embedding apart. Tokenizers without bias carry the split on to the pixels. Limit: a frozen decision is
 * not explained: which token attends to which, and by how much, is taken as given.
 */

import { dot, sum } from "../core/maths.ts";
import { keepLast } from "../core/memo.ts";
import { matrix } from "../core/matrix.ts";
import { normalise } from "../model/forward.ts";
import type { Model } from "../model/model.ts";
import type { Trace } from "../model/trace.ts";
import { type Against, usual } from "./contrast.ts";
import { partsOf, type Score, walkBack } from "./frozen.ts";
import { beforeTokenizer } from "./frozen_tokenizer.ts";

/** A score as a sum over the tokens at L + 1 depths; the first is the encoder's input, the last the pool. */
export interface InputSplit {
  /** One a depth: (M,) logits, what each token adds. */
  readonly parts: readonly Float64Array[];
  /** One a depth: what the biases behind it add. */
  readonly constants: readonly number[];
  /** (M,): the part of parts[0] that comes from the positional embedding. */
  readonly position: Float64Array;
  /** The score that every depth sums to, and how far each is from it. */
  readonly score: number;
  readonly errors: readonly number[];
  /** The score as an affine function of the encoder's input. */
  readonly input: Score;
}

/** What each token brings before any mixing, and the rest of the score: the sum of all four is the score. */
export interface InputContribution {
  /** (N,) logits. */
  readonly map: Float64Array;
  readonly position: number;
  readonly classToken: number;
  readonly biases: number;
}

/** Null where the stream or the single heads are not known: a server's payload has neither. */
export function splitScore(
  trace: Trace,
  model: Model,
  target: number,
  against: Against = usual(trace),
): InputSplit | null {
  return kept(trace, model, target, against);
}

const kept = keepLast((trace: Trace, model: Model, target: number, against: Against): InputSplit | null => {
  const { vectors, attentions } = trace;
  if (!vectors || !attentions) return null;
  const direction = directionOf(trace.config.numClasses, target, against);
  const walk = [...walkBack(vectors, attentions, model, direction)].reverse();
  const parts = walk.map(({ x, score }) => partsOf(score, x));
  const constants = walk.map(({ score }) => score.constant);
  const score = dot(trace.logits, direction);
  const { position } = vectors.readoutWeights;
  const { sequenceLength: m } = trace.config;
  return {
    parts,
    constants,
    position: position ? partsOf(walk[0].score, matrix(m, vectors.embeddingDim, position)) : new Float64Array(m),
    score,
    errors: parts.map((part, depth) => Math.abs(sum(part) + constants[depth] - score)),
    input: walk[0].score,
  };
});

/** What each token brings to the score before attention mixes the tokens. */
export function inputContribution(split: InputSplit, trace: Trace): InputContribution {
  const tokens = split.parts[0].map((part, t) => part - split.position[t]);
  const first = Number(trace.config.hasClassToken);
  return {
    map: tokens.subarray(first),
    position: sum(split.position),
    classToken: sum(tokens.subarray(0, first)),
    biases: split.constants[0],
  };
}

/** L + 1 maps (N,), logits: the same score split over the tokens at each depth. */
export const contributionByDepth = (split: InputSplit, trace: Trace): Float64Array[] =>
  split.parts.map((part) => part.subarray(Number(trace.config.hasClassToken)));

/** (N,): the contributions summed over all depths: a ranking of the tokens, and no split. */
export function depthSum(split: InputSplit, trace: Trace): Float64Array {
  const [first, ...rest] = contributionByDepth(split, trace);
  return first.map((value, t) => rest.reduce((total, map) => total + map[t], value));
}

/**
 * (H, W) logits: what each pixel brings; they sum to the tokens' part. A pixel counts relative to the normalisation's
 * mean colour. Null where the tokenizer has biases, so that its tokens do not split over the pixels.
 */
export function splitPixels(split: InputSplit, trace: Trace, model: Model): Float64Array | null {
  if (model.config.tokenizer.some((stage) => stage.useBias)) return null;
  const { slope } = split.input;
  const first = Number(trace.config.hasClassToken);
  const byPixel = beforeTokenizer(trace, model, slope.values.subarray(first * slope.columns));
  const { data, channels } = normalise(trace.pixels, model.config);
  const pixels = new Float64Array(data.length / channels);
  for (let i = 0; i < data.length; i++) pixels[Math.floor(i / channels)] += data[i] * byPixel[i];
  return pixels;
}

/** (K,): the logits times it are the score of a class against another, the mean of all, or nothing. */
function directionOf(k: number, target: number, against: Against): Float64Array {
  const direction = new Float64Array(k).fill(against === "mean" ? -1 / k : 0);
  direction[target] += 1;
  if (typeof against === "number") direction[against] -= 1;
  return direction;
}
