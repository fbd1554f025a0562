// Traces of what a visitor changed: without some tokens, and with another pool. All identities hold for them too.

import { describe, expect, it } from "vitest";
import { sum } from "../core/maths.ts";
import { makeTrace } from "../model/make_trace.ts";
import type { Trace } from "../model/trace.ts";
import { CASES, expectClose, readCase } from "../testing/vectors.ts";
import { ablateInPool } from "./ablation.ts";
import { readLens } from "./depth.ts";
import { attributeLogits } from "./direct_logit_attribution.ts";
import { maskWithout } from "./faithfulness.ts";
import { splitScore } from "./input_split.ts";
import { type Pooling, poolWith, withPool } from "./laboratory.ts";

const GONE = [1, 4];

describe.each(CASES)("a changed trace of %s", (name) => {
  const { trace, model, pixels } = readCase(name);
  const { numTokens: n, numClasses: k, sequenceLength: m } = model.config;
  const mask = maskWithout(n, GONE);
  const masked: Trace = { ...trace, ...makeTrace(model, model.run(pixels, mask)), mask };

  function expectIdentities(changed: Trace): void {
    const sums = new Float64Array(k);
    attributeLogits(changed, model.layers)?.forEach(({ logits }) => logits.forEach((value, c) => (sums[c] += value)));
    expectClose(sums, { values: changed.logits }, "sum over heads and MLPs");
    const table = changed.contributions;
    if (table) {
      const whole = Float64Array.from(changed.bias, (bias, c) => bias + sum(table.filter((_, i) => i % k === c)));
      expectClose(whole, { values: changed.logits }, "sum of the contributions");
    }
    for (const target of [0, k - 1]) {
      const split = splitScore(changed, model, target);
      const scale = Math.max(...changed.logits.map(Math.abs));
      for (const error of split?.errors ?? []) expect(error).toBeLessThan(1e-4 * scale); // sums of float32 arrays
    }
    const last = readLens(changed)?.at(-1);
    expectClose(last?.logits ?? [], { values: changed.logits }, "logit lens at the last depth");
    expectClose(last?.poolingWeights ?? [], { values: changed.poolingWeights ?? new Float32Array() }, "its weights");
  }

  it("without some tokens answers as the model does without them", () => {
    expectClose(masked.logits, { values: model.answer(model.embed(pixels), mask) }, "logits");
    expect(masked.logits).not.toEqual(trace.logits);
    expectIdentities(masked);
    expect(sum(masked.readout)).toBeCloseTo(1, 5);
    const ablated = ablateInPool(masked, 0);
    for (const token of GONE) expect(Math.abs(ablated?.[token] ?? 0)).toBe(0);
    const first = m - n;
    for (const token of GONE) {
      expect(masked.attentions?.every((share, i) => i % m !== token + first || share === 0)).toBe(true);
      expect(masked.contributions?.subarray(token * k, (token + 1) * k).some((value) => value !== 0) ?? false).toBe(
        false,
      );
    }
  });

  const pools: Pooling[] = [
    { kind: "mean" },
    { kind: "top" },
    { kind: "beta", beta: 2 },
    { kind: "shuffled", seed: 1 },
  ];
  it.each(pools)("with the pool $kind splits as before", (pooling) => {
    for (const [of, dropped] of [
      [trace, []],
      [masked, GONE],
    ] as const) {
      const pooled = poolWith(of, pooling, new Set(dropped)),
        changed = pooled && withPool(of, pooled);
      expect(changed === null).toBe(trace.poolScores === null);
      if (!changed) continue;
      expect(changed.logits).toEqual(Float32Array.from(pooled.logits));
      expectIdentities(changed);
      expect(sum(changed.readout)).toBeCloseTo(1, 5);
    }
  });

  it("with an empty pool answers with the bias", () => {
    const all = new Set(Array.from({ length: n }, (_, token) => token)),
      pooled = poolWith(trace, { kind: "model" }, all);
    expect(pooled === null).toBe(trace.poolingWeights === null);
    if (!pooled) return;
    const changed = withPool(trace, pooled);
    expect(changed.logits).toEqual(trace.bias);
    expectIdentities(changed);
  });
});
