/** The names and shapes of a model's weights, as in cct_viz/architecture/weights.py. */

import type { Config } from "./config.ts";
import { findPool } from "./pools.ts";

/** Name -> shape of every array that a model of this configuration has, in the model's order. */
export function expectedShapes(config: Config): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  const dim = config.embeddingDim;
  const inner = config.numHeads * config.keyDim;
  const pool = findPool(config.pool);
  const addDense = (name: string, inputs: number, outputs: number, bias = true) => {
    shapes.set(`${name}/kernel`, [inputs, outputs]);
    if (bias) shapes.set(`${name}/bias`, [outputs]);
  };
  const addNorm = (name: string) => shapes.set(`${name}/gamma`, [dim]).set(`${name}/beta`, [dim]);

  let channels: number = config.channels;
  config.tokenizer.forEach((stage, i) => {
    shapes.set(`tokenizer/conv_${i}/kernel`, [stage.kernelSize, stage.kernelSize, channels, stage.channels]);
    if (stage.useBias) shapes.set(`tokenizer/conv_${i}/bias`, [stage.channels]);
    channels = stage.channels;
  });
  if (pool.classToken) shapes.set("sequence/class_token", [1, dim]);
  if (config.position !== "none") shapes.set("sequence/position", [config.sequenceLength, dim]);
  for (let i = 0; i < config.numLayers; i++) {
    addNorm(`block_${i}/norm_1`);
    for (const name of ["query", "key", "value"]) addDense(`block_${i}/attention/${name}`, dim, inner, config.qkvBias);
    addDense(`block_${i}/attention/projection`, inner, dim);
    addNorm(`block_${i}/norm_2`);
    addDense(`block_${i}/mlp_1`, dim, config.mlpDim);
    addDense(`block_${i}/mlp_2`, config.mlpDim, dim);
  }
  addNorm("norm");
  if (pool.hasScores) addDense("pool/score", dim, 1);
  addDense("head", dim, config.numClasses);
  return shapes;
}
