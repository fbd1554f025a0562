// What the components put on the page. Svelte renders them to text; only a browser shows what needs one.

import { render } from "svelte/server";
import { expect, test } from "vitest";
import LivingEquation from "./LivingEquation.svelte";
import { madeTrace, type Made } from "./made_trace.ts";
import Numbers from "./Numbers.svelte";
import { makeScene } from "./scene.ts";

const scene = (made: Made = {}) =>
  makeScene({
    trace: madeTrace(made),
    width: 1376,
    height: 636,
    figure: "page",
    target: 1,
    truth: null,
    openLayer: null,
    head: null,
    depths: null,
    uncertain: false,
  });
const textOf = (html: string): string =>
  html
    .replace(/<!--.*?-->/g, "")
    .replace(/<[^>]*>/g, "|")
    .replace(/[|\s]*\|[|\s]*/g, "|");

test("the table has a row a token with numbers that multiply", () => {
  const made = scene(),
    { body } = render(Numbers, { props: { scene: made } }),
    rows = textOf(body.split("<tbody>")[1] ?? "").match(/\|\d+\|\d+\|[^|]+\|[^|]+\|[^|]+/g) ?? [];
  expect(rows).toHaveLength(16);
  const [, , , weight, evidence, contribution] = (rows[5] ?? "").replaceAll("−", "-").split("|");
  // Rounded to 0.005 % and 0.005 logits, so the product is off by a few thousandths.
  expect((Number.parseFloat(weight ?? "") / 100) * Number(evidence)).toBeCloseTo(Number(contribution), 2);
});

test("with a class token the table has the attention it pays, and no evidence", () => {
  const { body } = render(Numbers, { props: { scene: scene({ pool: "class_token" }) } });
  expect(textOf(body)).toContain("Attention of the class token in the last layer");
  expect(textOf(body)).not.toContain("Evidence");
});

const equation = (made: Made) =>
  textOf(
    render(LivingEquation, {
      props: { trace: madeTrace(made), token: 5, target: 1, status: "strongest" },
    }).body,
  );

test.each([
  ["seqpool", "weight"],
  ["mean", "weight, 1 of 16"],
  ["max", "of the channels"],
] as const)("%s: the equation names its terms", (pool, unit) => {
  const text = equation({ pool });
  expect(text).toContain("Row 2, column 2");
  expect(text).toContain(`|${unit}|`);
  expect(text).toContain("|15 others|");
  expect(text).toContain("strongest of 16 tokens");
});

test("with a class token the equation has its attention and no product", () => {
  const text = equation({ pool: "class_token" });
  expect(text).toContain("attention it gets from the class token");
  expect(text).toContain("most evidence of 16 tokens");
  expect(text).not.toContain("×");
});

test("sigmoid outputs have their own formula", () => {
  expect(equation({ output: "sigmoid" })).toContain("1 ÷ (1 + e|");
});
