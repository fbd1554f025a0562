import { expect, test } from "vitest";
import { equationOf } from "./equation.ts";
import { madeTrace } from "./made_trace.ts";

test.each(["seqpool", "mean", "max"] as const)("%s: the terms multiply and add up to the score", (pool) => {
  const trace = madeTrace({ pool }),
    { token, bias, score, probability, total } = equationOf(trace, 6, 2);
  if (!token) throw new Error("this pool splits");
  expect(token.factor * token.length).toBeCloseTo(token.contribution, 5);
  expect(token.contribution + token.others + bias).toBeCloseTo(score, 5);
  expect(Math.exp(score) / (total ?? NaN)).toBeCloseTo(probability, 5);
});

test("a class token: what it reads and the bias add up, and the token has the attention it pays", () => {
  const trace = madeTrace({ pool: "class_token" }),
    { token, attention, read, bias, score } = equationOf(trace, 6, 2, 1);
  expect(token).toBeNull();
  expect(read + bias).toBeCloseTo(score, 5);
  expect(attention).toBeCloseTo(trace.attentions?.[(1 * 2 + 1) * 17 * 17 + 7] ?? NaN, 6);
});

test("sigmoid: a probability of its own", () => {
  const { total, score, probability } = equationOf(madeTrace({ output: "sigmoid" }), 6, 2);
  expect(total).toBeNull();
  expect(1 / (1 + Math.exp(-score))).toBeCloseTo(probability, 5);
});
