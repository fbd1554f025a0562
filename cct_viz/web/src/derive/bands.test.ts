import { expect, it } from "vitest";
import { bandOf, LEAST, rightOf100 } from "./bands.ts";

const BANDS = [
  { low: 0, high: 0.5, images: 0, right: 0, of_100: null },
  { low: 0.5, high: 0.9, images: LEAST - 1, right: 12, of_100: 63 },
  { low: 0.9, high: 1, images: LEAST, right: 19, of_100: 95 },
];

it.each([
  [0, 0],
  [0.4999, 0],
  [0.5, 1],
  [0.9, 2],
  [1, 2],
  [1.0000001, 2], // a rounded sum of float32 numbers
])("a probability of %f lies in band %i", (probability, index) => {
  expect(bandOf(BANDS, probability)).toBe(BANDS[index]);
});

it("there is no band without a measurement", () => {
  expect(bandOf(undefined, 0.5)).toBeNull();
  expect(bandOf(BANDS.slice(2), 0.5)).toBeNull();
  expect(bandOf(BANDS, NaN)).toBeNull();
});

it("a band of too few images says nothing of 100", () => {
  expect([null, ...BANDS].map(rightOf100)).toEqual([null, null, null, 95]);
});
