/** A model, ready to run: its configuration and its weights. */

import type { Matrix } from "../core/matrix.ts";
import { type Config, readConfig } from "./config.ts";
import {
  answer,
  checkMask,
  checkPixels,
  forward,
  type Seen,
  sequence,
  type Step,
  tokenize,
  type TokenMask,
} from "./forward.ts";
import { type Engine, JAVASCRIPT } from "./engine.ts";
import { type Layers, layersOf } from "./layers.ts";
import { readWeights, type Weights } from "./safetensors.ts";
import { expectedShapes } from "./shapes.ts";

export interface Model {
  readonly config: Config;
  readonly weights: Weights;
  readonly layers: Layers;
  /** How many steps one pass takes. */
  readonly numSteps: number;
  /** One pass, step by step. */
  readonly steps: (pixels: Uint8Array, mask?: TokenMask) => Generator<Step, Seen, void>;
  /** One pass, all steps at once. */
  readonly run: (pixels: Uint8Array, mask?: TokenMask) => Seen;
  /** The encoder's input (M, D): all that does not depend on which tokens are masked. */
  readonly embed: (pixels: Uint8Array) => Matrix;
  /** The logits (K,) of an input with some tokens masked. */
  readonly answer: (input: Matrix, mask?: TokenMask) => Float32Array;
}

/**
 * @param configText the content of config.json
 * @param buffer the content of model.safetensors, which the model keeps
 * @param createEngine makes what it computes with
 * @throws {Error} the files do not make a model; the message says why
 */
export function openModel(
  configText: string,
  buffer: ArrayBuffer,
  createEngine: (config: Config) => Engine = () => JAVASCRIPT,
): Model {
  const config = readConfig(configText);
  const weights = readWeights(buffer, expectedShapes(config));
  const layers = layersOf(config, weights, createEngine(config));
  const steps = (pixels: Uint8Array, mask: TokenMask = null) => {
    checkPixels(config, pixels);
    checkMask(config, mask);
    return forward(config, layers, pixels, mask);
  };
  return {
    config,
    weights,
    layers,
    numSteps: config.tokenizer.length + config.numLayers + 1,
    steps,
    run: (pixels, mask) => finish(steps(pixels, mask)),
    embed(pixels) {
      checkPixels(config, pixels);
      const maps = finish(tokenize(config, layers, pixels));
      return sequence(config, layers, maps[maps.length - 1].data);
    },
    answer(input, mask = null) {
      checkMask(config, mask);
      return answer(config, layers, input, mask);
    },
  };
}

/** What an iterator returns, once it has yielded everything. */
function finish<R>(steps: Iterator<unknown, R, void>): R {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
