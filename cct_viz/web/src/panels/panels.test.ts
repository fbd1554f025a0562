import { describe, expect, it } from "vitest";
import { madeTrace } from "../hero/made_trace.ts";
import { readCase } from "../testing/vectors.ts";
import { allMaps, FROM_WEIGHTS, furtherMaps, METHODS } from "./all_maps.ts";
import { betaAt, betaPlace, BETA_END } from "./beta.ts";
import { changeOf, nameOf } from "./class_words.ts";
import { rowShare } from "./confusion.ts";
import { CurveBench } from "./curves.svelte.ts";
import { fileName } from "./files.ts";
import { capital } from "./titles.ts";

describe("the slider of the inverse temperature", () => {
  it("is even to 1 and doubles to 8", () => {
    expect(betaAt(0)).toBe(0);
    expect(betaAt(20)).toBe(1);
    expect(betaAt(BETA_END)).toBeCloseTo(8, 12);
  });
  it.each([0, 0.5, 1, 2, 8])("comes back to %s", (beta) => {
    expect(betaAt(betaPlace(beta))).toBeCloseTo(beta, 12);
  });
});

describe("sentences about classes", () => {
  const labels = ["cat", "dog"];
  it("name one class or two", () => {
    expect(nameOf(labels, 0, null)).toBe("cat");
    expect(nameOf(labels, 0, 1)).toBe("cat over dog");
  });
  it("say how the target moves and who wins", () => {
    expect(changeOf(labels, 0, [0.9, 0.1], [0.2, 0.8])).toBe(
      "cat falls from 90.0\u00a0% to 20.0\u00a0%; dog now wins.",
    );
    expect(changeOf(labels, 0, [0.9, 0.1], [0.95, 0.05])).toBe(
      "cat rises from 90.0\u00a0% to 95.0\u00a0%; cat still wins.",
    );
    expect(changeOf(labels, 0, [0.9, 0.1], [0.9, 0.1])).toBe("cat stays at 90.0\u00a0%; cat still wins.");
  });
});

it("a cell's share of its row", () => {
  expect(rowShare([30, 10], 0)).toBe(75);
  expect(rowShare([0, 0], 0)).toBe(0);
});

it("file names hold no sign that a system refuses", () => {
  expect(fileName("my: photo?/1")).toBe("my_photo_1");
  expect(fileName("")).toBe("picture");
});

it("a capital starts a sentence", () => {
  expect(capital("row 3, column 2")).toBe("Row 3, column 2");
});

it("maps that only a server knows are shown for the class that they explain", () => {
  const { trace, model } = readCase("seqpool");
  const map = { caption: "", signed: true, unit: "logits", maps: [new Float32Array(trace.config.numTokens)] };
  const computed = [
    { ...map, method: "evidence" },
    { ...map, method: "depth_sum" },
    { ...map, method: "unheard" },
  ];
  const target = trace.logits.indexOf(Math.max(...trace.logits));
  const options = { model, target, reference: null, fusion: "mean", alpha: 0.5 } as const;
  const names = (change: object) => {
    const changed = { ...options, ...change };
    return furtherMaps({ ...trace, computed }, changed, allMaps(trace, changed)).map(({ method }) => method);
  };
  expect(names({})).toEqual(["unheard"]);
  expect(names({ model: null })).toEqual(["depth_sum", "unheard"]);
  expect(names({ target: (target + 1) % trace.labels.length })).toEqual([]);
  expect(names({ reference: (target + 1) % trace.labels.length })).toEqual([]);
  expect(allMaps(trace, options).map(({ method }) => method)).toEqual(METHODS);
  expect(allMaps(trace, { ...options, model: null }).map(({ method }) => method)).toEqual(
    METHODS.filter((method) => !FROM_WEIGHTS.includes(method)),
  );
});

it("draws curves of a quick model in more points than of a deep one", () => {
  const steps = (layers: number) => new CurveBench(madeTrace({ rows: 16, columns: 16, layers })).steps.length;
  expect([steps(2), steps(3)]).toEqual([17, 9]);
});
