import { describe, expect, it } from "vitest";
import { CASES, ENGINE_NAMES, expectClose, readCase } from "../testing/vectors.ts";
import { makeTrace } from "./make_trace.ts";
import { openPayload } from "./payload.ts";
import { findPool } from "./pools.ts";

describe.each(CASES.flatMap((name) => ENGINE_NAMES.map((engine) => [name, engine] as const)))(
  "%s in %s",
  (name, engine) => {
    const { model, trace, get, below, about, pixels, mask, arrays } = readCase(name, engine);
    const { vectors } = trace;

    it("sees what Python sees", () => {
      expect(vectors).not.toBeNull();
      const actual: Record<string, ArrayLike<number>> = {
        stream: vectors?.stream ?? [],
        attention_outputs: vectors?.attentionOutputs ?? [],
        mlp_outputs: vectors?.mlpOutputs ?? [],
        representation: vectors?.representation ?? [],
        pooling_factors: vectors?.poolingFactors ?? [],
        attentions: trace.attentions ?? [],
        attention_shares: trace.attentionShares,
        logits: trace.logits,
        probabilities: trace.probabilities,
        evidence: trace.evidence,
        readout: trace.readout,
        bias: trace.bias,
        ...(trace.poolScores && { pool_scores: trace.poolScores }),
        ...(trace.poolingWeights && { pooling_weights: trace.poolingWeights }),
        ...(trace.contributions && { contributions: trace.contributions }),
      };
      trace.featureMaps.forEach((map, i) => {
        actual[`feature_map_${i}`] = map.data;
        expect([map.height, map.width, map.channels]).toEqual(get(`trace/feature_map_${i}`).shape);
      });
      trace.stages.forEach(({ windows, centres, stride, windowSize }, i) => {
        actual[`windows_${i}`] = windows;
        actual[`centres_${i}`] = centres;
        actual[`sliding_${i}`] = [...stride, ...windowSize];
      });
      expect(Object.keys(actual).sort()).toEqual(below("trace/").sort());
      for (const [key, values] of Object.entries(actual)) expectClose(values, get(`trace/${key}`), key);
    });

    it("sees the same without masked tokens", () => {
      const seen = makeTrace(model, model.run(pixels, mask));
      const { numHeads, sequenceLength: m, numLayers } = model.config;
      expectClose(seen.logits, get("masked/logits"), "logits");
      const stream = seen.vectors?.stream.subarray((numLayers * (seen.vectors.stream.length / (numLayers + 1))) | 0);
      const attended = seen.attentions?.subarray(0, numHeads * m * m) ?? [];
      expectClose(attended, get("masked/attentions_0"), "attention of the first layer");
      expectClose(stream ?? [], get("masked/stream_last"), "stream after the last layer");
      const weights = arrays.get("masked/pooling_weights");
      expect(seen.poolingWeights === null).toBe(weights === undefined);
      if (weights && seen.poolingWeights) expectClose(seen.poolingWeights, weights, "pooling weights");
    });

    it("answers without any token, and without each", () => {
      const input = model.embed(pixels);
      const n = model.config.numTokens;
      const expected = get("masked/answers").values;
      const k = model.config.numClasses;
      for (let row = 0; row <= n; row++) {
        const without = Float32Array.from({ length: n }, (_, t) => (row === 0 || t === row - 1 ? 0 : 1));
        const values = expected.subarray(row * k, (row + 1) * k);
        expectClose(model.answer(input, without), { values }, `answer ${row}`);
      }
      expectClose(model.answer(input), get("trace/logits"), "answer with all");
    });

    it("has contributions that sum to the logits with the bias", () => {
      const k = model.config.numClasses;
      if (!trace.contributions) return expect(findPool(model.config.pool).splits).toBe(false);
      const sums = Float64Array.from(trace.bias);
      trace.contributions.forEach((value, i) => (sums[i % k] += value));
      expectClose(sums, get("trace/logits"), "sums");
    });

    it("opens a payload of Python's to the same trace", async () => {
      const opened = await openPayload(about.payload, () => Promise.resolve(pixels));
      expect(opened.computed?.[0].maps[0].length).toBe(model.config.numTokens);
      for (const [key, value] of Object.entries(opened.config)) expect(trace.config, key).toHaveProperty(key, value);
      expect(opened.labels).toEqual(trace.labels);
      expect(opened.grid).toEqual(trace.grid);
      expect(opened.receptiveFields).toEqual(trace.receptiveFields);
      expect(opened.stages).toEqual(trace.stages);
      for (const key of ["logits", "bias", "evidence", "readout", "attentionShares", "probabilities"] as const) {
        expectClose(opened[key], { values: Float32Array.from(trace[key]) }, key);
      }
      for (const key of ["poolScores", "poolingWeights", "contributions"] as const) {
        expect(opened[key] === null, key).toBe(trace[key] === null);
        if (opened[key] && trace[key]) expectClose(opened[key], { values: trace[key] }, key);
      }
      opened.featureMaps.forEach(({ data }, i) => expectHalf(data, trace.featureMaps[i].data));
      expectHalf(opened.attentions ?? [], trace.attentions ?? []);
    });
  },
);

/** Python sends feature maps and attention as float16, with eleven bits. */
function expectHalf(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    worst = Math.max(worst, Math.abs(actual[i] - expected[i]) / Math.max(0.05, Math.abs(expected[i])));
  }
  expect(worst).toBeLessThan(2e-3);
}

describe("a pass", () => {
  it("names each step before it is taken", () => {
    const { model, pixels } = readCase("seqpool");
    const names = [...model.steps(pixels)].map((step) => ("index" in step ? `${step.part} ${step.index}` : step.part));
    expect(names).toEqual(["conv 0", "conv 1", "layer 0", "layer 1", "pool"]);
    expect(model.numSteps).toBe(5);
  });

  it("refuses a picture and a mask of another size", () => {
    const { model, pixels } = readCase("seqpool");
    expect(() => model.run(new Uint8Array(5))).toThrow(
      "the picture has 5 values; this model expects 12 x 20 pixels of three colours",
    );
    const message = "the token mask has 2 entries; this model has 15 tokens";
    expect(() => model.run(pixels, [1, 0])).toThrow(message);
    expect(() => model.answer(model.embed(pixels), [1, 0])).toThrow(message);
  });

  it.each(ENGINE_NAMES)("leaves a trace that holds no part of the weights' file or of the memory of %s", (engine) => {
    const { model, trace } = readCase("seqpool", engine);
    const file = model.weights.get("head/kernel")?.values.buffer;
    const memory = model.layers.engine.scope(() => model.layers.engine.matrix(1, 1).values.buffer);
    const buffers = (value: unknown): unknown[] => {
      if (ArrayBuffer.isView(value)) return [value.buffer];
      return value && typeof value === "object" ? Object.values(value).flatMap(buffers) : [];
    };
    expect(buffers(trace).length).toBeGreaterThan(10);
    expect(buffers(trace)).not.toContain(file);
    expect(buffers(trace)).not.toContain(memory);
  });
});

it("a payload of another version or with an unknown pool is refused", async () => {
  const { payload } = readCase("seqpool").about;
  const open = (change: object) => openPayload({ ...payload, ...change }, () => Promise.resolve(new Uint8Array()));
  await expect(open({ version: 2 })).rejects.toThrow("this page reads pictures of version 1; this one says 2");
  await expect(open({ pool: "median" })).rejects.toThrow("pool is median; expected one of seqpool, ");
  await expect(open({ block: "median" })).rejects.toThrow("block is median; expected one of pre_norm, official");
});
