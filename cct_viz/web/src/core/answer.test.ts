import { expect, it } from "vitest";
import { SURE, verdictOf } from "./answer.ts";

it.each([
  [[0.1, 0.9], 1, "right"],
  [[0.45, 0.55], 1, "unsure"],
  [[1 - SURE, SURE], 1, "right"],
  [[0.6, 0.4], 1, "wrong"],
  [[0.6, 0.4], null, "other"],
] as const)("an answer of %j to class %s is %s", (probabilities, truth, verdict) => {
  expect(verdictOf(probabilities, truth, ["cat", "dog"])).toBe(verdict);
});

it("classes without names are neither right nor wrong", () => {
  expect(verdictOf([0.1, 0.9], null, ["class 0", "class 1"])).toBe("unnamed");
  expect(verdictOf([0.1, 0.9], null, ["class 0", "dog"])).toBe("other");
});
