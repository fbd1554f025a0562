import { expect, test } from "vitest";
import { POOLS as ALL } from "../model/pools.ts";
import { madeTrace, type Made } from "./made_trace.ts";
import { argmax, extent, HEIGHTS, poolingOf, runningSum, shownClasses } from "./pooling.ts";

test("every pool that splits the score has heights", () => {
  expect(Object.keys(HEIGHTS)).toEqual(Object.keys(ALL).filter((name) => ALL[name].splits));
});

const POOLS = ["seqpool", "mean", "max"] as const satisfies Made["pool"][];

test.each(POOLS)("%s: factor x length is the contribution, and heights sum to 1", (pool) => {
  const trace = madeTrace({ pool }),
    k = 2,
    pooling = poolingOf(trace, k);
  if (!pooling) throw new Error("this pool splits");
  expect(pooling.shares.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  pooling.contributions.forEach((contribution, t) => {
    expect(contribution).toBeCloseTo(trace.contributions?.[t * 5 + k] ?? NaN, 6);
    expect((pooling.shares[t] ?? 0) * (pooling.lengths[t] ?? 0)).toBeCloseTo(contribution, 5);
  });
});

test("heights are the weights, equal, or the shares of the channels", () => {
  const heightOf = (pool: (typeof POOLS)[number]) => poolingOf(madeTrace({ pool }), 0);
  expect(POOLS.map((pool) => heightOf(pool)?.height)).toEqual(["weight", "equal", "channels"]);
  expect(heightOf("mean")?.shares[3]).toBeCloseTo(1 / 16);
  const trace = madeTrace({ pool: "seqpool" });
  expect(poolingOf(trace, 0)?.shares[3]).toBeCloseTo(trace.poolingWeights?.[3] ?? NaN);
});

test("with weights the length is the evidence", () => {
  const trace = madeTrace();
  expect(poolingOf(trace, 1)?.lengths[6]).toBeCloseTo(trace.evidence[6 * 5 + 1] ?? NaN);
});

test("a token that is the maximum of no channel has length 0", () => {
  const trace = madeTrace({ pool: "max" }),
    readout = Float32Array.from(trace.readout),
    contributions = Float32Array.from(trace.contributions ?? []);
  readout[0] = 0;
  contributions.fill(0, 0, 5);
  expect(poolingOf({ ...trace, readout, contributions }, 0)?.lengths[0]).toBe(0);
});

test("a class token has no pooling", () => {
  expect(poolingOf(madeTrace({ pool: "class_token" }), 0)).toBeNull();
});

test.each(POOLS)("%s: the running sum starts at the bias and ends at the logit", (pool) => {
  const trace = madeTrace({ pool }),
    sums = runningSum(trace, 3);
  expect(sums).toHaveLength(17);
  expect(sums[0]).toBe(trace.bias[3]);
  expect(sums[16]).toBeCloseTo(trace.logits[3] ?? NaN, 4); // sixteen float32 terms
});

test("extent holds 0", () => {
  expect(extent([[2, 3], [5]])).toEqual([0, 5]);
  expect(extent([[-2], [-1]])).toEqual([-2, 0]);
  expect(extent([])).toEqual([0, 0]);
});

test("argmax is the first of the largest", () => expect(argmax([1, 4, 4, 2])).toBe(1));

test("all of ten classes have a row, the most probable first", () => {
  const probabilities = [0.1, 0.6, 0.05, 0.25];
  expect(shownClasses(probabilities, [2], 10)).toEqual({ rows: [1, 3, 0, 2], others: 0, othersProbability: 0 });
});

test("of many classes the five best, the explained and the true one", () => {
  const probabilities = Array.from({ length: 100 }, (_, k) => (k === 40 ? 0.505 : 0.005)),
    shown = shownClasses(probabilities, [77, 88], 5);
  expect(shown.rows[0]).toBe(40);
  expect(shown.rows).toHaveLength(5);
  expect(shown.rows).toEqual(expect.arrayContaining([77, 88]));
  expect(shown.others).toBe(95);
  expect(shown.othersProbability).toBeCloseTo(95 * 0.005);
});

test("the explained class has a row even where there is room for one", () => {
  expect(shownClasses([0.7, 0.2, 0.1], [2], 1).rows).toEqual([0, 2]);
});
