// What the drawing needs of the logit lens.

import type { Depth } from "../derive/depth.ts";
import type { Depths } from "./scene.ts";

/** All depths one after the other. */
export function depthsOf(lens: readonly Depth[]): Depths {
  const join = (of: (depth: Depth) => ArrayLike<number>): Float64Array =>
    Float64Array.from(lens.flatMap((depth) => Array.from(of(depth))));
  return {
    logits: join(({ logits }) => logits),
    probabilities: join(({ probabilities }) => probabilities),
    evidence: join(({ evidence }) => evidence),
  };
}
