/**
 * The orders of norm and MLP in an encoder block, as in cct_viz/architecture/blocks.py, by their names in config.json.
 */

import { lookUp } from "../core/lookup.ts";
import type { Matrix } from "../core/matrix.ts";

export interface Steps {
  readonly norm: (x: Matrix) => Matrix;
  readonly mlp: (x: Matrix) => Matrix;
  readonly add: (x: Matrix, y: Matrix) => Matrix;
}

export interface Block {
  /** The stream after the block, and what the MLP added to it, from the stream after the attention. */
  readonly addMlp: (x: Matrix, steps: Steps) => { stream: Matrix; added: Matrix };
  /** Whether the second norm replaces the stream; direct logit attribution then starts after the last one. */
  readonly overwritesStream: boolean;
  /**
   * `addMlp` backwards: from scores as a function of the stream after the block to scores as a function of the stream
   * after the attention; the steps take them back through each part.
   */
  readonly splitMlp: <S>(scores: S, steps: StepsBack<S>) => S;
}

export interface StepsBack<S> {
  readonly norm: (scores: S) => S;
  readonly mlp: (scores: S) => S;
  readonly add: (one: S, other: S) => S;
}

export const BLOCKS: Readonly<Record<string, Block>> = {
  pre_norm: {
    addMlp(x, { norm, mlp, add }) {
      const added = mlp(norm(x));
      return { stream: add(x, added), added };
    },
    overwritesStream: false,
    splitMlp: (scores, { norm, mlp, add }) => add(scores, norm(mlp(scores))),
  },
  official: {
    addMlp(x, { norm, mlp, add }) {
      const normed = norm(x);
      const added = mlp(normed);
      return { stream: add(normed, added), added };
    },
    overwritesStream: true,
    splitMlp: (scores, { norm, mlp, add }) => norm(add(scores, mlp(scores))),
  },
};

export const findBlock = (name: string): Block => lookUp(BLOCKS, "block", name);
