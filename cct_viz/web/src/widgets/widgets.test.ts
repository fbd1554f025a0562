import { describe, expect, it } from "vitest";
import { between, cellAt, cellBeside, outline, withCells } from "./cells.ts";
import { stepOf, tableOf } from "./palette.ts";
import { stepsOf } from "./waterfall.ts";

describe("cells", () => {
  const box = { left: 10, top: 20, width: 80, height: 40 };
  it("are found under a pointer, and none beside the map", () => {
    expect(cellAt({ clientX: 10, clientY: 20 }, box, { rows: 4, columns: 8 })).toBe(0);
    expect(cellAt({ clientX: 89, clientY: 59 }, box, { rows: 4, columns: 8 })).toBe(31);
    expect(cellAt({ clientX: 90, clientY: 59 }, box, { rows: 4, columns: 8 })).toBeNull();
  });
  it("lead on by keys to the one beside or to an end of the row, and stop at the edges", () => {
    const none = { altKey: false, ctrlKey: false, metaKey: false };
    const go = (cell: number, key: string, more = {}) =>
      cellBeside(cell, { ...none, key, ...more }, { rows: 6, columns: 10 });
    expect(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].map((key) => go(25, key))).toEqual([
      24, 26, 15, 35, 20, 29,
    ]);
    expect([go(0, "ArrowLeft"), go(30, "ArrowLeft"), go(29, "ArrowRight"), go(3, "ArrowUp")]).toEqual([0, 30, 29, 3]);
    expect([go(59, "ArrowRight"), go(55, "ArrowDown")]).toEqual([59, 55]);
    expect(go(3, "Enter")).toBeNull();
    for (const modifier of ["altKey", "ctrlKey", "metaKey"]) expect(go(3, "Home", { [modifier]: true })).toBeNull();
  });
  it("leave no gap in a stroke", () => {
    expect(between(0, 3, 8)).toEqual([1, 2, 3]);
    expect(between(0, 18, 8)).toEqual([9, 18]);
    expect(between(5, 5, 8)).toEqual([]);
  });
  it("have an outline, without the edges between them", () => {
    const size = { rows: 3, columns: 3 };
    expect(outline(new Set([4]), size)).toBe("M1 1h1M1 2h1M1 1v1M2 1v1");
    expect(outline(new Set([0, 1]), size)).toBe("M0 0h1M0 1h1M0 0v1M1 0h1M1 1h1M2 0v1");
    expect(outline(new Set([2, 3]), size).match(/M/g)).toHaveLength(8); // a row's last cell and the next row's first
    expect(outline(new Set(), size)).toBe("");
  });
  it("are added and taken away in a set of its own", () => {
    const before = new Set([1, 2]);
    expect(withCells(before, [2, 3], true)).toEqual(new Set([1, 2, 3]));
    expect(withCells(before, [2, 3], false)).toEqual(new Set([1]));
    expect(before).toEqual(new Set([1, 2]));
  });
});

describe("ramps", () => {
  it("have nothing at the start of a share and in the middle of a signed one", () => {
    expect(stepOf(0, 2, "share")).toBe(0);
    expect(stepOf(2, 2, "share")).toBe(255);
    expect(stepOf(0, 2, "signed")).toBe(128);
    expect(stepOf(-2, 2, "signed")).toBe(0);
    expect(stepOf(9, 0, "share")).toBe(0);
  });
  it.each(["share", "signed", "neutral"] as const)("%s differs at its ends in both themes", (ramp) => {
    for (const dark of [false, true]) {
      const table = tableOf(ramp, dark);
      expect([...table.subarray(0, 3)]).not.toEqual([...table.subarray(765)]);
    }
  });
});

it("a running sum takes the largest first and lands on the score", () => {
  const steps = stepsOf([0.5, -1, 2], 0.25);
  expect(steps.map(({ token }) => token)).toEqual([2, 0, 1]);
  expect(steps.map(({ to }) => to)).toEqual([2.25, 2.75, 1.75]);
});
