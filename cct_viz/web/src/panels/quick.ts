// How much a panel may ask of a model.

import type { ModelShape } from "../model/trace.ts";

const QUICK = 512; // tokens times layers

/** Whether hundreds of passes are quick: they start without a button, and curves get all their points. */
export const isQuick = ({ numTokens, numLayers }: ModelShape): boolean => numTokens * numLayers <= QUICK;
