import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { bytesOf, decode, decodeFloats, inflate, widen } from "./arrays.ts";
import { galleryOf, type PictureEntry } from "./entries.ts";
import { lookUp } from "./lookup.ts";
import { argmax, descending, effectiveTokens, extent, quantile, sigmoid, softmax, timesMatrix } from "./maths.ts";
import { columnsOf, layerNorm, matrix, multiply, normaliseRows, rowsOf, takeRows, transpose } from "./matrix.ts";
import { keepLast } from "./memo.ts";
import { problem } from "./problem.ts";
import { shuffle } from "./random.ts";
import { NO_STEPS, redo, stepFrom, type Steps, undo } from "./undo.ts";

const numbers = (count: number, seed = 1) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(1 + 12.9898 * (i + 31 * seed)));

it("float16 reads as its bits say", () => {
  const cases: [number, number][] = [
    [0x0000, 0],
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x7bff, 65504],
    [0x0001, 2 ** -24],
    [0x8400, -(2 ** -14)],
    [0x7c00, Infinity],
  ];
  expect(Array.from(widen(Uint16Array.from(cases, ([bits]) => bits)))).toEqual(cases.map(([, value]) => value));
  expect(widen(Uint16Array.of(0x7e00))[0]).toBeNaN();
});

it("undo and redo go through the states, and a change forgets what was undone", () => {
  let steps: Steps<string> = NO_STEPS;
  expect([undo(steps, "a"), redo(steps, "a")]).toEqual([null, null]);
  steps = stepFrom(stepFrom(steps, "a"), "b"); // "c" is shown
  const back = undo(steps, "c");
  expect(back?.state).toBe("b");
  expect(redo(back?.steps ?? NO_STEPS, "b")).toEqual({ state: "c", steps });
  expect(stepFrom(back?.steps ?? NO_STEPS, "b").after).toEqual([]);
});

it("a deflated text is read", async () => {
  expect(await inflate(new Uint8Array(deflateSync("Zürich, 苏黎世")))).toBe("Zürich, 苏黎世");
});

it("arrays open from base64 and refuse what does not fit", () => {
  const data = Buffer.from(Float32Array.of(1.5, -2).buffer).toString("base64");
  expect(Array.from(decodeFloats({ dtype: "float32", shape: [2], data }))).toEqual([1.5, -2]);
  expect(() => decodeFloats({ dtype: "float32", shape: [3], data })).toThrow("2 values; its shape 3 needs 3");
  expect(() => decode({ dtype: "float64", shape: [1], data }, "int16")).toThrow(
    "dtype is float64; expected one of int16",
  );
  expect(() => bytesOf("no base64!")).toThrow();
});

it("multiplies matrices of any shape and any part of them", () => {
  for (const [rows, inner, columns] of [
    [1, 1, 1],
    [4, 4, 4],
    [5, 3, 7],
    [9, 6, 2],
    [3, 0, 2],
  ]) {
    const a = rowsOf(matrix(rows + 2, inner, numbers((rows + 2) * inner)), 1, rows);
    const b = columnsOf(matrix(inner, columns + 3, numbers(inner * (columns + 3), 2)), 2, columns);
    const entry = (x: typeof a, i: number, j: number) => x.values[x.start + i * x.down + j * x.across];
    const expected = Array.from({ length: rows * columns }, (_, at) => {
      const row = Math.floor(at / columns);
      let total = 0;
      for (let k = 0; k < inner; k++) total += entry(a, row, k) * entry(b, k, at % columns);
      return Math.fround(total);
    });
    expect(Array.from(multiply(a, b).values)).toEqual(expected);
    const turned = transpose(matrix(columns, inner, numbers(inner * columns, 2)));
    const product = multiply(a, turned);
    for (let j = 0; j < columns; j++) {
      let total = 0;
      for (let k = 0; k < inner; k++) total += entry(a, 0, k) * entry(turned, k, j);
      expect(product.values[j]).toBe(Math.fround(total));
    }
  }
});

it("takes rows, normalises rows and layers", () => {
  const x = matrix(3, 2, Float32Array.of(1, 2, 3, 4, 5, 7));
  expect(Array.from(takeRows(x, [2, 0]).values)).toEqual([5, 7, 1, 2]);
  expect(Array.from(normaliseRows(Float64Array.of(1, 3, 0, 0), 2))).toEqual([0.25, 0.75, 0, 1]);
  const normed = layerNorm(rowsOf(x, 2, 1), [1, 2], [0, 1], 1e-12).values;
  expect(normed[0]).toBeCloseTo(-1, 5); // float32
  expect(normed[1]).toBeCloseTo(3, 5);
});

it("softmax and sigmoid stay finite where scores are large", () => {
  expect(Array.from(softmax([1000, 1000]))).toEqual([0.5, 0.5]);
  expect(Array.from(softmax([3, 1], 0))).toEqual([0.5, 0.5]);
  expect(softmax([0, Math.log(3)])[1]).toBeCloseTo(0.75, 12);
  expect(Array.from(sigmoid([0, 1000, -1000]))).toEqual([0.5, 1, 0]);
});

it("orders and measures lists", () => {
  expect(descending([1, 3, 3, 2])).toEqual([1, 2, 3, 0]);
  expect(argmax([1, 3, 3])).toBe(1);
  expect(extent([1, -4, 3])).toBe(4);
  expect(quantile([4, 1, 2], 0.25)).toBe(1.5);
  expect(effectiveTokens([0.25, 0.25, 0.25, 0.25])).toBeCloseTo(4, 12);
  expect(effectiveTokens([0, 0])).toBe(0);
  expect(Array.from(timesMatrix([1, 2], [1, 2, 3, 4]))).toEqual([7, 10]);
});

it("shuffles the same for a seed, and another way for another", () => {
  const values = Array.from({ length: 50 }, (_, i) => i);
  const order = Array.from(shuffle(values, 0));
  expect(order).not.toEqual(values);
  expect([...order].sort((a, b) => a - b)).toEqual(values);
  expect(Array.from(shuffle(values, 0))).toEqual(order);
  expect(Array.from(shuffle(values, 1))).not.toEqual(order);
});

it("looks up own names only", () => {
  expect(lookUp({ a: 1 }, "letter", "a")).toBe(1);
  expect(() => lookUp({ a: 1, b: 2 }, "letter", "toString")).toThrow("letter is toString; expected one of a, b");
});

it("a problem's text takes its values, and misses none", () => {
  expect(problem("picture.empty", { name: "a.png", accepted: "PNG" }).message).toBe("a.png is an empty file; PNG");
  expect(() => problem("picture.empty", { name: "a.png" })).toThrow("picture.empty needs a value for accepted");
});

it("keeps the last result until an argument changes", () => {
  let calls = 0;
  const double = keepLast((x: number, y: number) => (calls++, x + y));
  expect([double(1, 2), double(1, 2), double(2, 2), double(1, 2)]).toEqual([3, 3, 4, 3]);
  expect(calls).toBe(3);
});

describe("the gallery of a model", () => {
  const source = (): Promise<Blob> => Promise.resolve(new Blob());
  const picture = (id: string, truth: string | null): PictureEntry => ({
    ...{ id, truth, source, name: id, address: "" },
    kind: truth ? "photo" : "own",
  });
  const pictures = [picture("cat", "cat"), picture("church", "church"), picture("mine", null)];
  const shown = (labels: string[]): string[] => galleryOf(pictures, labels).map(({ id }) => id);

  it("has the pictures of its classes and those of no class", () => {
    expect(shown(["church", "tench"])).toEqual(["church", "mine"]);
  });

  it("has all pictures where it knows none of their classes", () => {
    expect(shown(["class 0", "class 1"])).toEqual(["cat", "church", "mine"]);
  });
});
