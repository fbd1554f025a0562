import { describe, expect, it } from "vitest";
import { matrix } from "../core/matrix.ts";
import { floats, save } from "../testing/safetensors.ts";
import { picture, readCase } from "../testing/vectors.ts";
import { ACTIVATIONS, erf, findActivation } from "./activations.ts";
import { BLOCKS, findBlock } from "./blocks.ts";
import { type ConvStage, readConfig } from "./config.ts";
import { JAVASCRIPT } from "./engine.ts";
import { makeTrace, probabilitiesOf } from "./make_trace.ts";
import { type Model, openModel } from "./model.ts";
import { poolWith } from "./pooling.ts";
import { findPool, POOLS, poolTokens, readoutOf } from "./pools.ts";
import { expectedShapes } from "./shapes.ts";
import { convStage } from "./tokenizer.ts";

describe("activations", () => {
  it("erf is exact to seven digits", () => {
    // Values of the error function to ten digits: Abramowitz and Stegun 1964, table 7.1.
    const table = [
      [0, 0],
      [0.1, 0.112462916],
      [0.5, 0.5204998778],
      [1, 0.8427007929],
      [1.5, 0.9661051465],
      [2, 0.995322265],
    ];
    for (const [x, y] of table) {
      expect(Math.abs(erf(x) - y)).toBeLessThan(2e-8);
      expect(erf(-x)).toBe(-erf(x));
    }
    expect(erf(5)).toBe(1);
    expect(erf(NaN)).toBeNaN();
  });

  it("gelu_tanh comes within its authors' distance of gelu, but is another function", () => {
    const x = Float32Array.from({ length: 121 }, (_, i) => (i - 60) / 10);
    const [exact, close] = ["gelu", "gelu_tanh"].map(
      (name) => findActivation(name)(matrix(1, x.length, x.slice())).values,
    );
    const errors = exact.map((value, i) => Math.abs(value - close[i]));
    expect(Math.max(...errors)).toBeLessThan(5e-4);
    expect(Math.max(...errors)).toBeGreaterThan(1e-4);
    expect(close[70]).toBeCloseTo(0.841192, 5); // at 1, as torch.nn.functional.gelu(approximate="tanh")
  });
});

it("unknown names are refused", () => {
  expect(() => findActivation("relu")).toThrow(
    `activation is relu; expected one of ${Object.keys(ACTIVATIONS).join(", ")}`,
  );
  expect(() => findBlock("x")).toThrow(`block is x; expected one of ${Object.keys(BLOCKS).join(", ")}`);
  expect(() => findPool("x")).toThrow(`pool is x; expected one of ${Object.keys(POOLS).join(", ")}`);
});

describe("pools", () => {
  const r = matrix(3, 2, Float32Array.of(1, 5, 2, 4, 3, 3));
  const score = { kernel: Float32Array.of(1, 0), bias: 0.5 };
  const all = [0, 1, 2];

  it("weigh and pool as their names say", () => {
    const pooled = (name: string, kept = all) =>
      Array.from(poolTokens(poolWith(name, r, kept, score).factors, r).values);
    expect(pooled("mean")).toEqual([2, 4]);
    expect(pooled("max")).toEqual([3, 5]);
    expect(pooled("class_token")).toEqual([1, 5]);
    const raised = [1, 2, 3].map(Math.exp);
    const total = raised[0] + raised[1] + raised[2];
    expect(pooled("seqpool")[0]).toBeCloseTo((raised[0] + 2 * raised[1] + 3 * raised[2]) / total, 6);
    expect(pooled("mean", [0, 2])).toEqual([2, 4]);
    expect(pooled("max", [0, 1])).toEqual([2, 5]);
  });

  it.each(Object.keys(POOLS))("%s has a readout that sums to 1, and gives 0 without tokens", (name) => {
    const readout = readoutOf(poolWith(name, r, all, score).factors);
    expect(readout.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
    const nothing = poolWith(name, r, [], score);
    if (!findPool(name).classToken) {
      expect(Array.from(poolTokens(nothing.factors, r).values)).toEqual([0, 0]);
      expect(Array.from(readoutOf(nothing.factors))).toEqual([0, 0, 0]);
    }
  });

  it("keep the scores of masked tokens, but give them no weight", () => {
    const { scores, weights } = poolWith("seqpool", r, [0, 2], score);
    expect(Array.from(scores ?? [])).toEqual([1.5, 2.5, 3.5]);
    expect(weights?.[1]).toBe(0);
    expect(poolWith("mean", r, [0, 2], null).scores).toBeNull();
  });
});

describe("the tokenizer", () => {
  const stage: ConvStage = {
    channels: 1,
    kernelSize: 1,
    stride: 1,
    padding: 0,
    useBias: false,
    relu: false,
    poolSize: 2,
    poolStride: 2,
    poolZeroPadding: 0,
    poolPadding: "valid",
    convPadding: "valid",
  };
  const image = { data: Float32Array.of(-1, -2, -3, -4, -5, -6, -7, -8, -9), height: 3, width: 3, channels: 1 };

  const layer = (bias: Float32Array | null) => JAVASCRIPT.dense(matrix(1, 1, Float32Array.of(1)), bias);

  it("counts zeros around a pool, but not those of its rule", () => {
    const pooled = (change: Partial<ConvStage>) =>
      Array.from(convStage(image, { ...stage, ...change }, layer(null)).pooled.data);
    expect(pooled({ poolZeroPadding: 1 })).toEqual([0, 0, 0, -5]);
    expect(pooled({ poolPadding: "same" })).toEqual([-1, -3, -7, -9]);
  });

  it("adds the bias before the ReLU", () => {
    const { convolved } = convStage(image, { ...stage, relu: true, poolSize: 0 }, layer(Float32Array.of(4)));
    expect(Array.from(convolved.data)).toEqual([3, 2, 1, 0, 0, 0, 0, 0, 0]);
  });
});

/** The model of a case with another configuration. */
function modelWith(change: object): { model: Model; pixels: Uint8Array } {
  const { about, get, pixels } = readCase("mean");
  const config = JSON.stringify({ ...JSON.parse(about.config), ...change });
  return { model: openModel(config, Uint8Array.from(get("model").values).buffer), pixels };
}

it("with sigmoid each class has a probability of its own", () => {
  const { model, pixels } = modelWith({ output: "sigmoid" });
  const { logits, probabilities } = makeTrace(model, model.run(pixels));
  expect(probabilities[1]).toBeCloseTo(1 / (1 + Math.exp(-logits[1])), 12);
  expect(Array.from(probabilitiesOf("softmax", [0, 0]))).toEqual([0.5, 0.5]);
});

it("a grey model sees one of three equal colours", () => {
  const stage = { channels: 8, kernel_size: 4, stride: 4, relu: false, pool_size: 0 };
  const config = { format_version: 1, image_size: [4, 8], tokenizer: [stage], num_layers: 1, num_heads: 1, key_dim: 2 };
  const grey = { ...config, mlp_dim: 2, labels: ["a", "b"], channels: 1, pool: "mean", position: "none" };
  const text = JSON.stringify(grey);
  const shapes = [...expectedShapes(readConfig(text))];
  const model = openModel(text, save(Object.fromEntries(shapes.map(([name, shape]) => [name, floats(shape)]))));
  const pixels = Uint8Array.from({ length: 4 * 8 * 3 }, (_, i) => (Math.floor(i / 3) % 8 < 4 ? 51 : 255));
  const trace = { ...picture(pixels), ...makeTrace(model, model.run(pixels)) };
  expect(trace.featureMaps[0].data[0]).toBeCloseTo(16 * 0.2, 5); // float32: sixteen pixels of 51 / 255
  expect(trace.featureMaps[0].data[8]).toBeCloseTo(16, 5);
});
