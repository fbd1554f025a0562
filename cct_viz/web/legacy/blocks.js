// The orders of norm and MLP in an encoder block, as in cct_viz/architecture/blocks.py, by their names in config.json.

import { add } from "./kernels.js";
import { lookUp } from "./lookup.js";

/** Name -> (x, norm, mlp) => [the stream after the block, what the MLP added to it]; x, and what comes back, are matrices. */
export const BLOCKS = {
  pre_norm(x, norm, mlp) {
    const added = mlp(norm(x));
    return [add(x, added), added];
  },
  official(x, norm, mlp) {
    const normed = norm(x), added = mlp(normed);
    return [add(normed, added), added];
  },
};

export const findBlock = (name) => lookUp(BLOCKS, "block", name);
