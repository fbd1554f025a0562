import { expect, test } from "vitest";
import { band, circles, curve, line, polygon, rectangles } from "./shapes.ts";

test("curves and bands leave and arrive horizontally", () => {
  expect(curve(0, 1, 10, 5)).toBe("M0,1C5,1 5,5 10,5");
  expect(band(0, 0, 2, 10, 4, 9)).toBe("M0,0C5,0 5,4 10,4L10,9C5,9 5,2 0,2Z");
});

test("numbers have two decimals at most", () =>
  expect(curve(1 / 3, 0, 1, 2 / 3)).toBe("M0.33,0C0.67,0 0.67,0.67 1,0.67"));

test("lines, polygons and rectangles", () => {
  const points = [
    [0, 0],
    [2, 1],
  ] as const;
  expect(line(points)).toBe("M0,0L2,1");
  expect(polygon(points)).toBe("M0,0L2,1Z");
  expect(rectangles([[1, 2, 3, 4]])).toBe("M1,2h3v4h-3z");
});

test("circles are two half turns each", () => {
  expect(circles([[5, 6, 2]])).toBe("M3,6a2,2 0 1,0 4,0a2,2 0 1,0 -4,0z");
});
