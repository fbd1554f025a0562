import { describe, expect, it } from "vitest";
import { type Arrays, floats, save } from "../testing/safetensors.ts";
import { bytesOf, type CaseAbout, readCase, readVectors } from "../testing/vectors.ts";
import { ACTIVATIONS } from "./activations.ts";
import { readConfig } from "./config.ts";
import { openModel } from "./model.ts";
import { POOLS } from "./pools.ts";
import { readWeights } from "./safetensors.ts";
import { expectedShapes } from "./shapes.ts";

const { about, get } = readVectors<CaseAbout>("seqpool");
const stored: Record<string, unknown> = JSON.parse(about.config);
const changed = (change: object) => JSON.stringify({ ...stored, ...change });
const shapes = expectedShapes(readConfig(about.config));
const DAMAGED = "the weights file is cut short, damaged or no safetensors file; fetch it again";
const UNFIT = "the weights do not fit the configuration: ";

/** The file of a model whose weights are 1, with some arrays replaced; null removes one. */
function spoiled(change: Record<string, Arrays[string] | null> = {}): ArrayBuffer {
  const arrays: Arrays = Object.fromEntries([...shapes].map(([name, shape]) => [name, floats(shape)]));
  for (const [name, array] of Object.entries(change)) {
    if (array) arrays[name] = array;
    else Reflect.deleteProperty(arrays, name);
  }
  return save(arrays);
}

describe("weights", () => {
  it("open wherever their bytes lie", () => {
    for (let pad = 0; pad < 4; pad++) {
      const half = { dtype: "F16", shape: [pad], bytes: new Uint16Array(pad).fill(0x3c00).buffer };
      const file = save({ half, one: floats([2], 0.1) });
      const weights = readWeights(file, new Map([["half", [pad]], ["one", [2]]])); // prettier-ignore
      expect(Array.from(weights.get("one")?.values ?? [])).toEqual([Math.fround(0.1), Math.fround(0.1)]);
      expect(Array.from(weights.get("half")?.values ?? [])).toEqual(Array(pad).fill(1));
    }
  });

  it.each([
    ["half a file", () => spoiled().slice(0, spoiled().byteLength / 2), DAMAGED],
    ["half a header", () => spoiled().slice(0, 300), DAMAGED],
    ["nothing", () => new ArrayBuffer(0), DAMAGED],
    ["text", () => new TextEncoder().encode("<html>404 Not Found</html>").buffer, DAMAGED],
    ["a header that is no object", () => Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0, 110, 117, 108, 108).buffer, DAMAGED],
    ["missing", () => spoiled({ "norm/beta": null }), `${UNFIT}norm/beta is missing`],
    ["extra", () => spoiled({ more: floats([2]) }), `${UNFIT}more is not part of the model`],
    ["wrong shape", () => spoiled({ "norm/beta": floats([7]) }), `${UNFIT}norm/beta has shape (7), expected (8)`],
    [
      "float64",
      () => spoiled({ "norm/beta": { dtype: "F64", shape: [8], bytes: new ArrayBuffer(64) } }),
      `${UNFIT}norm/beta is F64, expected F32 or F16`,
    ],
    [
      "not finite",
      () => spoiled({ "norm/beta": floats([8], NaN) }),
      `${UNFIT}norm/beta has values that are not finite`,
    ],
    [
      "another model",
      () => save({ w0: floats([2]), w1: floats([2]), w2: floats([2]) }),
      `${UNFIT}tokenizer/conv_0/kernel is missing; tokenizer/conv_1/kernel is missing; sequence/position is missing; ` +
        "block_0/norm_1/gamma is missing; and 40 more",
    ],
  ])("that do not fit are refused: %s", (_, make, message) => {
    const open = () => openModel(about.config, make());
    expect(open).toThrow(Error);
    expect(open).toThrow(message);
  });

  it("of half precision are those that Python rounded", () => {
    const { model } = readCase("half_precision");
    const file = Buffer.from(bytesOf(readVectors("half_precision").get("model"))).toString("latin1");
    expect(file).toContain('"F16"');
    expect(model.weights.get("head/kernel")?.values.length).toBe(24);
  });
});

describe("a configuration", () => {
  it.each([
    [{ format_version: 2 }, "format_version is 2; this page reads 1"],
    [{ pool: "median" }, `pool is median; expected one of ${Object.keys(POOLS).join(", ")}`],
    [{ pool: "toString" }, "pool is toString; expected one of seqpool, "],
    [{ block: "post_norm" }, "block is post_norm; expected one of pre_norm, official"],
    [{ activation: "relu" }, `activation is relu; expected one of ${Object.keys(ACTIVATIONS).join(", ")}`],
    [{ output: "linear" }, "output is linear; expected one of softmax, sigmoid"],
    [{ channels: 4 }, "channels is 4; expected 1 or 3"],
    [{ num_heads: 0 }, "num_heads is 0; expected 1 or more"],
    [{ num_layers: 1e9 }, "num_layers is 1000000000; expected 1000 at most"],
    [{ tokenizer: [] }, "tokenizer is empty; expected one conv stage or more"],
    [{ tokenizer: [null] }, "channels is undefined; expected 1 or more"],
    [{ labels: ["one"] }, "labels must be 2 or more texts"],
    [{ assumptions: "none" }, "assumptions must be texts"],
    [{ image_size: [2, 2] }, "images of 2x2 pixels leave no token after the conv stages"],
    [{ image_size: [4096, 4096] }, "images of 4096x4096 pixels make "],
    [{ image_size: 32 }, "image_size is 32; expected (height, width), whole numbers from 1 to 4096"],
    [{ layer_norm_epsilon: 0 }, "layer_norm_epsilon is 0; expected more than 0 and less than 1"],
    [{ preprocessing: { std: [1, 0, 1] } }, "std is 1,0,1; expected 3 positive numbers"],
    [{ preprocessing: { mean: [1] } }, "mean is 1; expected 3 numbers"],
    [{ channels: 1, preprocessing: { mean: [0, 0, 0] } }, "mean is 0,0,0; expected 1 number"],
    [{ preprocessing: { crop: 0 } }, "crop is 0; expected more than 0 and at most 1"],
    [{ preprocessing: { interpolation: "nearest" } }, "interpolation is nearest; expected one of box, "],
  ])("of an impossible model is refused: %j", (change, message) => {
    expect(() => readConfig(changed(change))).toThrow(`the configuration cannot be used: ${message}`);
  });

  it.each(["{", "null", "[]", "3"])("that is no configuration is refused: %s", (text) => {
    expect(() => readConfig(text)).toThrow("the configuration cannot be used: ");
  });

  it("leaves out what has a default", () => {
    const small = { format_version: 1, image_size: [12, 20], tokenizer: [{ channels: 4 }], num_layers: 1 };
    const config = readConfig(JSON.stringify({ ...small, num_heads: 1, key_dim: 2, mlp_dim: 3, labels: ["a", "b"] }));
    expect(config).toMatchObject({ pool: "seqpool", activation: "gelu", output: "softmax", channels: 3 });
    expect(config.preprocessing).toEqual({ mean: [0, 0, 0], std: [1, 1, 1], interpolation: "bicubic", crop: 1 });
    expect(config.grid).toEqual({ rows: 5, columns: 9 });
  });

  it("of one channel has a kernel of one channel", () => {
    const config = readConfig(changed({ channels: 1, preprocessing: {} }));
    expect(config.preprocessing).toMatchObject({ mean: [0], std: [1] });
    expect(expectedShapes(config).get("tokenizer/conv_0/kernel")).toEqual([3, 3, 1, 6]);
  });
});

it("the vectors hold the model's own names", () => {
  expect([...shapes.keys()]).toEqual([...openModel(about.config, bytesOf(get("model"))).weights.keys()].sort(order));
});

const order = (a: string, b: string) => [...shapes.keys()].indexOf(a) - [...shapes.keys()].indexOf(b);
