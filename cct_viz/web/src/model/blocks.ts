/**
 * The orders of norm and MLP in an encoder block, as in cct_viz/architecture/blocks.py, by their names in config.json.
 */

import { lookUp } from "../core/lookup.ts";
import { add, type Matrix } from "../core/matrix.ts";

type Step = (x: Matrix) => Matrix;

export interface Block {
  /** The stream after the block, and what the MLP added to it, from the stream after the attention. */
  readonly addMlp: (x: Matrix, norm: Step, mlp: Step) => { stream: Matrix; added: Matrix };
  /** Whether the second norm replaces the stream; direct logit attribution then starts after the last one. */
  readonly overwritesStream: boolean;
}

export const BLOCKS: Readonly<Record<string, Block>> = {
  pre_norm: {
    addMlp(x, norm, mlp) {
      const added = mlp(norm(x));
      return { stream: add(x, added), added };
    },
    overwritesStream: false,
  },
  official: {
    addMlp(x, norm, mlp) {
      const normed = norm(x);
      const added = mlp(normed);
      return { stream: add(normed, added), added };
    },
    overwritesStream: true,
  },
};

export const findBlock = (name: string): Block => lookUp(BLOCKS, "block", name);
