// What stands between the two layers of an MLP, as in cct_viz/architecture/activations.py, by its name in config.json.

import { gelu, geluTanh } from "./kernels.js";
import { lookUp } from "./lookup.js";

/** Name -> a function that changes a matrix in place and gives it back. */
export const ACTIVATIONS = { gelu, gelu_tanh: geluTanh };

export const findActivation = (name) => lookUp(ACTIVATIONS, "activation", name);
