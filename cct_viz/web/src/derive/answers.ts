/** Answers of the model to masks of one picture, each asked for once and kept. */

/** A mask as a text, so that the same one is known again. */
const keyOf = (mask: ArrayLike<number>): string => Array.from(mask, (one) => (one ? 1 : 0)).join("");

export interface Answers {
  /** How many are known. */
  readonly size: number;
  /** (K,) logits, or undefined while they are not known. */
  readonly of: (mask: ArrayLike<number>) => Float32Array | undefined;
  readonly put: (mask: ArrayLike<number>, logits: Float32Array) => void;
  /** Those of `masks` that are not known, each once, in their order. */
  readonly missing: <M extends ArrayLike<number>>(masks: readonly M[]) => M[];
}

export function createAnswers(): Answers {
  const kept = new Map<string, Float32Array>();
  return {
    get size() {
      return kept.size;
    },
    of: (mask) => kept.get(keyOf(mask)),
    put(mask, logits) {
      kept.set(keyOf(mask), logits);
    },
    missing(masks) {
      const once = new Map(masks.map((mask) => [keyOf(mask), mask]));
      return [...once].filter(([key]) => !kept.has(key)).map(([, mask]) => mask);
    },
  };
}
