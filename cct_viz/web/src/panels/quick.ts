// How much a panel may ask of a model.

import type { ModelShape } from "../model/trace.ts";

const QUICK = 512; // tokens times layers

/** Whether the model answers so quickly that hundreds of passes need not be asked for, nor saved. */
export const isQuick = ({ numTokens, numLayers }: ModelShape): boolean => numTokens * numLayers <= QUICK;
