import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { argmax } from "../core/maths.ts";
import type { Gauge } from "../core/entries.ts";
import { distanceOf, fartherThan, pooledOf } from "../derive/gauge.ts";
import { readLens } from "../derive/depth.ts";
import { rollout } from "../derive/rollout.ts";
import { halfPrecision } from "../testing/safetensors.ts";
import { ENGINE_NAMES, ENGINES, expectClose, joined, picture, readVectors } from "../testing/vectors.ts";
import { makeTrace } from "./make_trace.ts";
import { openModel } from "./model.ts";
import { readWeights } from "./safetensors.ts";

const WEIGHTS = join(import.meta.dirname, "../../../../weights/keras_cct_cifar10");

function readGauge(): Gauge {
  const shapes = { mean: [128], root: [128, 128], distances: [101], auroc: [1] };
  const file = Uint8Array.from(readFileSync(join(WEIGHTS, "gauge.safetensors"))).buffer;
  const arrays = readWeights(file, new Map(Object.entries(shapes)));
  const values = (name: string) => arrays.get(name)?.values ?? new Float32Array();
  return { mean: values("mean"), root: values("root"), distances: values("distances"), auroc: values("auroc")[0] };
}

it.each(ENGINE_NAMES)("the bundled model in half precision sees in %s what Python sees", (engine) => {
  const { about, get, below } = readVectors<{ stride: number; labels: string[]; farther_than: number }>("bundled");
  const config = readFileSync(join(WEIGHTS, "config.json"), "utf8");
  const file = Uint8Array.from(readFileSync(join(WEIGHTS, "model.safetensors"))).buffer;
  const model = openModel(config, halfPrecision(file), ENGINES[engine]);
  const pixels = Uint8Array.from(get("pixels").values);
  const trace = { ...picture(pixels), ...makeTrace(model, model.run(pixels)) };
  const sampled = (values: ArrayLike<number>) =>
    values.length > 1000 ? Array.from(values).filter((_, i) => i % about.stride === 0) : values;
  const { vectors } = trace;
  const seen: Record<string, ArrayLike<number> | undefined | null> = {
    stream: vectors?.stream,
    attention_outputs: vectors?.attentionOutputs,
    mlp_outputs: vectors?.mlpOutputs,
    representation: vectors?.representation,
    pooling_factors: vectors?.poolingFactors,
    attentions: trace.attentions,
    attention_shares: trace.attentionShares,
    pool_scores: trace.poolScores,
    pooling_weights: trace.poolingWeights,
    logits: trace.logits,
    probabilities: trace.probabilities,
    evidence: trace.evidence,
    contributions: trace.contributions,
    readout: trace.readout,
    bias: trace.bias,
  };
  trace.featureMaps.forEach((map, i) => (seen[`feature_map_${i}`] = map.data));
  trace.stages.forEach((stage, i) => {
    seen[`windows_${i}`] = stage.windows;
    seen[`centres_${i}`] = stage.centres;
    seen[`sliding_${i}`] = [...stage.stride, ...stage.windowSize];
  });
  expect(Object.keys(seen).sort()).toEqual(below("trace/").sort());
  for (const [name, values] of Object.entries(seen)) expectClose(sampled(values ?? []), get(`trace/${name}`), name);
  expectClose(joined((readLens(trace) ?? []).map(({ logits }) => logits)), get("derived/lens/logits"), "lens");
  expectClose(joined(rollout(trace)), get("derived/rollout"), "rollout");
  const gauge = readGauge(),
    pooled = pooledOf(trace) ?? new Float32Array();
  expectClose(pooled, get("derived/pooled"), "pooled");
  expectClose([distanceOf(gauge, pooled)], get("derived/distance"), "distance");
  expect(fartherThan(gauge, pooled)).toBe(about.farther_than);
  expect(trace.labels).toEqual(about.labels);
  expect(argmax(trace.logits)).toBe(argmax(get("trace/logits").values));
});
