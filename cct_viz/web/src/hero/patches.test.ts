import { expect, test } from "vitest";
import { madeTrace } from "./made_trace.ts";
import { cellsOf, isPatches, patchBoxes, patchColours, receptiveField, tokenAt } from "./patches.ts";

test("patches are one step of the grid around the centres, inside the picture", () => {
  const trace = madeTrace({ rows: 3, columns: 5 });
  expect(patchBoxes(trace)[7]).toEqual([4, 8, 8, 12]);
  const last = trace.stages.at(-1);
  if (!last) throw new Error("a trace has stages");
  // Centres at the corner of the cell, as in the official tokenizer: the first patches move inside.
  const moved = { ...last, centres: last.centres.map((centre) => centre - 2) },
    boxes = patchBoxes({ ...trace, stages: [moved] });
  expect(boxes[0]).toEqual([0, 0, 4, 4]);
  expect(boxes[1]).toEqual([0, 2, 4, 6]);
});

test("a point of the picture means the token with the nearest patch", () => {
  const trace = madeTrace({ rows: 3, columns: 5 }),
    at = tokenAt(patchBoxes(trace), 5, trace.config.imageSize);
  expect(at(0, 0)).toBe(0);
  expect(at(0.99, 0.99)).toBe(14);
  expect(at(0.5, 0.3)).toBe(6);
});

test("a patch has the mean colour of its pixels", () => {
  const trace = madeTrace({ rows: 1, columns: 2 }),
    pixels = new Uint8Array(trace.pixels.length);
  for (let y = 0; y < 4; y++) for (let x = 4; x < 8; x++) pixels.set([10, 20, x < 6 ? 0 : 100], (y * 8 + x) * 3);
  expect(patchColours({ ...trace, pixels }, patchBoxes(trace))).toEqual([
    [0, 0, 0],
    [10, 20, 50],
  ]);
});

test("a token depends on cells whose windows make up its window", () => {
  const trace = madeTrace({ rows: 4, columns: 4 }),
    [y0, x0, y1, x1] = receptiveField(trace, 5),
    cells = cellsOf(trace, 0, 5),
    first = trace.stages[0];
  expect([y0, x0, y1, x1]).toEqual([0, 0, 12, 12]);
  // Stage 0 has cells of 2 pixels with windows of 6: cell i covers [2i - 2, 2i + 4). Those inside [0, 12) are 1 to 4.
  expect(cells).toEqual([1, 1, 5, 5]);
  const row = (y: number, x: number) => first?.windows.subarray(4 * (y * 8 + x), 4 * (y * 8 + x) + 4);
  expect([row(cells[0], cells[1])?.[0], row(cells[2] - 1, cells[3] - 1)?.[2]]).toEqual([y0, y1]);
});

test("at the edge the cells stop where the stage does", () => {
  const [y0, x0, y1, x1] = cellsOf(madeTrace(), 0, 0);
  expect([y0, x0]).toEqual([0, 0]);
  expect([y1, x1]).toEqual([3, 3]);
});

test("windows that overlap are no patches", () => {
  const trace = madeTrace({ stages: 1 }),
    last = trace.stages[0];
  if (!last) throw new Error("a trace has stages");
  expect(isPatches(trace)).toBe(false);
  expect(isPatches({ ...trace, stages: [{ ...last, windowSize: last.stride }] })).toBe(true);
});
