import { describe, expect, it } from "vitest";
import { effectiveTokens } from "../core/maths.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Fusion, Trace } from "../model/trace.ts";
import { METHODS } from "../panels/all_maps.ts";
import { nearestToken } from "../picture/projection.ts";
import { CASES, type Case, expectClose, joined, readCase } from "../testing/vectors.ts";
import { ablateInPool, coverBoxes, falls } from "./ablation.ts";
import { attentionFrom, attentionMatrix, attentionTo, imageTokens, rowError } from "./attention.ts";
import { gradCam, hiresCam } from "./cam.ts";
import { contribution, evidence, usual, weightsExplain } from "./contrast.ts";
import { logitLens, readLens } from "./depth.ts";
import { attributeLogits, directLogitAttribution } from "./direct_logit_attribution.ts";
import { maskWithout, masksAlong, spreadSteps, srg } from "./faithfulness.ts";
import { contributionByDepth, depthSum, inputContribution, splitPixels, splitScore } from "./input_split.ts";
import { poolWith, topToken } from "./laboratory.ts";
import { meanColour } from "./painting.ts";
import { contributionRollout, rollout } from "./rollout.ts";
import { rolloutPaths } from "./rollout_paths.ts";

const TARGET = 1; // as in tests/page_vectors.py
const FUSIONS: readonly Fusion[] = ["mean", "max", "min"];

/** Compared names, so that none of Python's derivations goes untested. */
function compare(one: Case) {
  const compared = new Set<string>();
  return {
    /** Null stands for a map that this model does not have. */
    check(name: string, actual: ArrayLike<number> | null): void {
      const expected = one.arrays.get(`derived/${name}`);
      expect(actual === null, `${name} is there`).toBe(expected === undefined);
      if (actual && expected) expectClose(actual, expected, name);
      compared.add(name);
      compared.add(`${name}/class_share`);
    },
    missing: () => one.below("derived/").filter((name) => !compared.has(name)),
    /** Maps of the page that no vector holds to Python. */
    untested: () => METHODS.filter((method) => ![...compared].some((name) => `${name}/`.startsWith(`${method}/`))),
  };
}

const images = (trace: Trace, rows: readonly Float64Array[]) => joined(rows.map((row) => imageTokens(trace, row)));

describe.each(CASES)("%s", (name) => {
  const one = readCase(name);
  const { trace, model, pixels } = one;

  it("derives from a trace what Python derives", () => {
    const { check, missing, untested } = compare(one);
    check("evidence", evidence(trace, TARGET, usual(trace)));
    check("contribution", contribution(trace, TARGET, usual(trace)));
    check("contrast", contribution(trace, TARGET, 0));
    const share = weightsExplain(trace, TARGET);
    check("weights_explain", share === null ? null : [share]);
    checkAttention(one, check);
    checkDepth(one, check);
    checkInputSplit(one, check);
    checkPool(one, check);
    checkRemoval(one, check);
    check("nearest_token", nearestToken(trace.stages[trace.stages.length - 1], model.config.imageSize));
    check("effective_tokens", [effectiveTokens(trace.attentions?.subarray(0, model.config.sequenceLength) ?? [])]);
    expect(missing()).toEqual([]);
    expect(untested()).toEqual(["seqpool"]); // the pooling weights, which the trace is compared for
  });

  it("splits the score exactly at every depth of the sum", () => {
    for (const layers of [null, model.layers]) {
      const sums = new Float64Array(model.config.numClasses);
      attributeLogits(trace, layers)?.forEach(({ logits }) => logits.forEach((value, c) => (sums[c] += value)));
      expectClose(sums, { values: trace.logits }, "sum of the parts");
    }
  });

  it("has attention whose rows sum to 1, and columns that are its rows turned", () => {
    for (const head of [null, 0]) expect(rowError(trace, 0, head)).toBeLessThan(1e-5); // float32 sums of 15 shares
    const m = model.config.sequenceLength;
    const first = m - model.config.numTokens;
    const column = attentionTo(trace, 3, 0, 1);
    for (let token = 0; token < m - first; token++) {
      expect(column[token + first]).toBe(attentionFrom(trace, token, 0, 1)[3 + first]);
    }
  });

  function checkPool({ trace: { evidence: table } }: Case, check: (name: string, actual: Float64Array | null) => void) {
    const n = table.length / model.config.numClasses;
    const logits = (pooled: ReturnType<typeof poolWith>) => pooled && pooled.logits;
    const hasWeights = trace.poolingWeights !== null;
    const scored = trace.poolScores !== null;
    const ones = new Float64Array(n).fill(1);
    check("laboratory/mean", logits(poolWith(trace, { kind: "given", weights: ones })));
    const ramp = Float64Array.from({ length: n }, (_, t) => t);
    check("laboratory/ramp", logits(poolWith(trace, { kind: "given", weights: ramp })));
    check("laboratory/beta_2", logits(poolWith(trace, { kind: "beta", beta: 2 })));
    check("laboratory/top", logits(poolWith(trace, { kind: "top" })));
    expect(poolWith(trace, { kind: "model" }) !== null).toBe(hasWeights);
    expect(poolWith(trace, { kind: "mean" }) !== null).toBe(scored);
    check("grad_cam", gradCam(trace, TARGET));
    check("hires_cam", hiresCam(trace, TARGET));
    check("ablate_in_pool", ablateInPool(trace, TARGET));
  }

  function checkRemoval({ get }: Case, check: (name: string, actual: ArrayLike<number> | null) => void) {
    const n = model.config.numTokens;
    const input = model.embed(pixels);
    const alone = Array.from({ length: n }, (_, t) => model.answer(input, maskWithout(n, [t])));
    check("drop_token", falls(trace.logits, alone, TARGET, usual(trace)));
    for (const cover of ["black", "mean"] as const) {
      const { imageSize } = model.config;
      const covered = Array.from({ length: n }, (_, t) => {
        const box = trace.receptiveFields.subarray(4 * t, 4 * t + 4);
        return model.run(coverBoxes(pixels, imageSize, box, cover)).logits;
      });
      check(`hide_pixels/${cover}`, falls(trace.logits, covered, TARGET, usual(trace)));
    }
    check("paint_over/black", [0, 0, 0]);
    check("paint_over/mean", meanColour(pixels));
    const order = Array.from(get("derived/curves/order").values);
    const steps = spreadSteps(n, 6);
    const along = (which: "deletion" | "insertion") =>
      masksAlong(order, steps, which).map(
        (mask) => probabilitiesOf(trace.config.output, model.answer(input, mask))[TARGET],
      );
    const curves = { deletion: along("deletion"), insertion: along("insertion") };
    check("curves/order", order);
    check("curves/steps", steps);
    check("curves/deletion", curves.deletion);
    check("curves/insertion", curves.insertion);
    check("curves/srg", [srg(steps, curves)]);
  }
});

type Check = (name: string, actual: ArrayLike<number> | null) => void;

function checkAttention(one: Case, check: Check): void {
  const { trace } = one;
  const { hasClassToken, numLayers, numHeads } = trace.config;
  const layers = Array.from({ length: numLayers }, (_, layer) => layer);
  const heads = Array.from({ length: numHeads }, (_, head) => head);
  for (const fusion of FUSIONS) {
    for (const alpha of [0.5, "measured"] as const) {
      const steps = rollout(trace, { fusion, alpha });
      check(`rollout/${fusion}/${alpha}`, images(trace, hasClassToken ? steps.slice(1) : steps));
    }
    check(`fused/${fusion}`, joined(layers.map((layer) => attentionMatrix(trace, layer, null, fusion))));
  }
  check("contribution_rollout", contributionRollout(trace, TARGET));
  const from = (token: number | null) =>
    images(
      trace,
      heads.map((head) => attentionFrom(trace, token, 0, head)),
    );
  check("attention/readout", from(null));
  check("attention/token_2", from(2));
  const paths = rolloutPaths(trace, { alpha: "measured" });
  check(
    "rollout_paths/masses",
    paths.map(({ mass }) => mass),
  );
  check("rollout_paths/rows", joined(paths.map(({ row }) => row)));
  const names = paths.map(({ layers, count }) => {
    if (!layers) return `${count} of ${numLayers} attentions`;
    return layers.length ? `attention ${layers.map((layer) => layer + 1).join(", then ")}` : "past all attention";
  });
  expect(names).toEqual(one.about.paths);
}

function checkDepth({ trace, model, about }: Case, check: Check): void {
  const lens = readLens(trace) ?? [];
  check("lens/readouts", joined(lens.map(({ readout }) => readout)));
  check("lens/logits", joined(lens.map(({ logits }) => logits)));
  check("lens/probabilities", joined(lens.map(({ probabilities }) => probabilities)));
  check("lens/votes", joined(lens.map(({ votes }) => votes)));
  const maps = logitLens(trace, TARGET);
  check("logit_lens", maps && joined(maps));
  const parts = directLogitAttribution(trace, TARGET);
  check("direct_logit_attribution", parts && joined(parts.map(({ map }) => map)));
  const whole = attributeLogits(trace) ?? [];
  check("attribution/parts", joined(whole.map(({ logits }) => logits)));
  check("attribution/heads", joined((attributeLogits(trace, model.layers) ?? []).map(({ logits }) => logits)));
  expect(whole.map(({ part }) => nameOf(part))).toEqual(about.parts);
}

function checkInputSplit({ trace, model }: Case, check: Check): void {
  const split = splitScore(trace, model, TARGET);
  const over = splitScore(trace, model, TARGET, 0);
  if (!split || !over) throw new Error("the stream is known");
  const { map, position, classToken, biases } = inputContribution(split, trace);
  check("input_contribution", map);
  check("input_split/position", split.position);
  check("input_split/constants", split.constants);
  expect(map.reduce((a, b) => a + b) + position + classToken + biases).toBeCloseTo(split.score, 5);
  check("contribution_by_depth", joined(contributionByDepth(split, trace)));
  check("contribution_by_depth/against", joined(contributionByDepth(over, trace)));
  check("depth_sum", depthSum(split, trace));
  const pixels = splitPixels(split, trace, model);
  check("input_split/pixels", pixels);
  if (pixels)
    expect(pixels.reduce((a, b) => a + b)).toBeCloseTo(
      map.reduce((a, b) => a + b),
      5,
    );
  const largest = Math.max(1, ...trace.logits.map(Math.abs));
  for (const error of [...split.errors, ...over.errors]) expect(error).toBeLessThan(1e-5 * largest);
  const turned = splitScore(trace, model, 0, TARGET);
  over.parts.forEach((part, depth) =>
    expectClose(part, { values: Float32Array.from(turned?.parts[depth] ?? [], (x) => -x) }, "A over B"),
  );
}

/** A part as Python names it. */
function nameOf(part: NonNullable<ReturnType<typeof attributeLogits>>[number]["part"]): string {
  if (part.kind === "classToken") return "class token";
  if (!("layer" in part)) return part.kind;
  const name = { attention: "attention", mlp: "MLP", before: "all before the MLP of layer", head: "head" }[part.kind];
  return `${name} ${part.layer + 1}`;
}

it("the top token leaves out those that are taken away", () => {
  const { trace } = readCase("seqpool");
  const weights = trace.poolingWeights ?? new Float32Array();
  const top = topToken(weights);
  const next = topToken(weights, new Set([top]));
  expect(weights[next]).toBeLessThan(weights[top]);
  const pooled = poolWith(trace, { kind: "model" }, new Set([top]));
  expect(pooled?.weights[top]).toBe(0);
  expect(pooled?.weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
});
