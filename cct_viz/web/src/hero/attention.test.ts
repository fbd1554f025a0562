import { expect, test } from "vitest";
import { attentionRow, strongestKeys, strongestOfAll } from "./attention.ts";
import { madeTrace } from "./made_trace.ts";

const trace = madeTrace({ layers: 3, heads: 2 });
const at = (layer: number, head: number, query: number, key: number) =>
  trace.attentions?.[((layer * 2 + head) * 16 + query) * 16 + key] ?? NaN;

test("a row of one head is as in the trace; the mean of the heads sums to 1", () => {
  expect(attentionRow(trace, 2, 1, 5)[7]).toBeCloseTo(at(2, 1, 5, 7));
  const mean = attentionRow(trace, 1, null, 4);
  expect(mean[9]).toBeCloseTo((at(1, 0, 4, 9) + at(1, 1, 4, 9)) / 2);
  expect(mean.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
});

test("where only fused attention is known, it is the mean", () => {
  const mean = Float32Array.from({ length: 3 * 256 }, (_, i) => i),
    fused = { mean, max: mean, min: mean };
  expect(attentionRow({ ...trace, attentions: null, fused }, 1, 1, 2)[3]).toBe(256 + 2 * 16 + 3);
});

test("strongest keys come in order, as many as asked for or as there are", () => {
  expect(strongestKeys([0.1, 0.5, 0.15, 0.25], 2)).toEqual([
    { row: 1, share: 0.5 },
    { row: 3, share: 0.25 },
  ]);
  expect(strongestKeys([0.4, 0.6], 5)).toHaveLength(2);
  expect(strongestKeys([0.5, 0.5, 0], 1)[0]?.row).toBe(0);
});

test("each query has its strongest keys, the class token too", () => {
  expect(strongestOfAll(madeTrace({ pool: "class_token" }), 0, null, 3).map((keys) => keys.length)).toEqual(
    Array(17).fill(3),
  );
});
