import { describe, expect, test } from "vitest";
import { defaultOpen, layout, linear, stack, type Layout, type LayoutOptions } from "./layout.ts";

const make = (
  width: number,
  height: number,
  rows: number,
  columns: number,
  layers: number,
  more: Partial<LayoutOptions> = {},
): Layout => layout(width, height, rows * columns, layers, { rows, columns, stages: 2, ...more });

/** Every size the page has, with every kind of model. */
const CASES: [string, Layout][] = [];
for (const [width, height] of [
  [1376, 636],
  [1216, 456],
  [1000, 500],
  [936, 500],
  [756, 700],
] as const)
  for (const [rows, columns] of [
    [8, 8],
    [16, 16],
    [6, 10],
    [3, 2],
    [32, 32],
  ] as const)
    for (const layers of [1, 2, 3, 4, 7, 14])
      for (const classToken of [false, true])
        for (const stages of [1, 2, 3])
          for (const figure of ["page", "compact"] as const)
            CASES.push([
              `${width}x${height}, ${rows}x${columns} tokens, ${layers} layers, ${stages} stages, ${figure}${classToken ? ", class token" : ""}`,
              make(width, figure === "compact" ? 204 : height, rows, columns, layers, { classToken, stages, figure }),
            ]);

/** Left and right edges of the parts, in reading order. */
function edges(made: Layout): [number, number][] {
  const { photo, flats, deck, fan, tokenColumns, pool, evidence, sum, classes } = made,
    list: [number, number][] = [[photo.x, photo.x + photo.width]];
  for (const { x, width } of flats) list.push([x, x + width]);
  if (deck) list.push([deck.x, deck.x + deck.width + (deck.sheets - 1) * deck.step]);
  list.push([fan.x0, fan.x1]);
  for (const { x, width } of tokenColumns) list.push([x, x + width]);
  list.push([pool.x0, pool.x1]);
  if (evidence) list.push([evidence.x, evidence.x + evidence.width]);
  if (sum) list.push([sum.x, sum.x + sum.width]);
  if (classes) list.push([classes.x, classes.x + classes.width]);
  return list;
}

describe("layout", () => {
  test("lies from left to right without overlap and within its width, for every model and size", () => {
    const wrong = CASES.filter(([, made]) => {
      const list = edges(made),
        last = list.at(-1)?.[1] ?? 0;
      return (
        !list.every(([from, to], i) => to > from && from >= (list[i - 1]?.[1] ?? 0) - 1e-9) || last > made.width + 1e-9
      );
    }).map(([name]) => name);
    expect(wrong).toEqual([]);
  });

  test("its rows fill the columns from top to bottom in reading order", () => {
    const wrong = CASES.filter(([, made]) => {
      const { top, bottom, tokens, pitch, ty, mark } = made,
        ordered = Array.from({ length: tokens - 1 }, (_, t) => ty(t + 1) >= ty(t) + pitch - 1e-9).every(Boolean),
        first = made.classToken ? made.rowY(0) : ty(0);
      return !(
        ordered &&
        Math.abs(first - top) < 1e-9 &&
        Math.abs(ty(tokens - 1) + pitch - bottom) < 1e-6 &&
        mark > 0 &&
        mark <= pitch
      );
    }).map(([name]) => name);
    expect(wrong).toEqual([]);
  });

  test("the rows of the grid stand apart, and its columns do not", () => {
    const made = make(1376, 636, 8, 8, 2);
    expect(made.ty(1) - made.ty(0)).toBeCloseTo(made.pitch);
    expect(made.ty(8) - made.ty(7) - made.pitch).toBeCloseTo(3);
    expect(make(1376, 636, 16, 16, 7).ty(16) - make(1376, 636, 16, 16, 7).ty(15)).toBeCloseTo(
      make(1376, 636, 16, 16, 7).pitch + 1.5,
    );
  });

  test("segments are as high as the shares, and together as high as the columns", () => {
    const shares = [0.1, 0.4, 0.2, 0.3],
      made = make(1376, 636, 2, 2, 2, { shares }),
      whole = made.bottom - made.top;
    shares.forEach((share, t) => expect(made.segment(t)[1]).toBeCloseTo(share * whole));
    expect(made.segment(0)[0]).toBe(made.top);
    expect(made.segment(3)[0] + made.segment(3)[1]).toBeCloseTo(made.bottom);
    expect(make(1376, 636, 2, 2, 2).segment(2)[1]).toBeCloseTo(whole / 4);
  });

  test("opens all of three layers, and one of four", () => {
    expect(make(1376, 636, 8, 8, 3).spans.every(({ open }) => open)).toBe(true);
    const folded = make(1376, 636, 8, 8, 7, { open: 2 });
    expect(folded.spans.filter(({ open }) => open).map(({ layer }) => layer)).toEqual([2]);
    const width = (layer: number) => (folded.spans[layer]?.x1 ?? 0) - (folded.spans[layer]?.x0 ?? 0);
    expect(width(2)).toBeGreaterThan(10 * width(1));
  });

  test("an open layer that the model does not have is the default one", () => {
    expect(make(1376, 636, 8, 8, 7, { open: 9 }).spans[defaultOpen(7, false)]?.open).toBe(true);
    expect(defaultOpen(7, false)).toBe(4);
    expect(defaultOpen(7, true)).toBe(6);
    expect(defaultOpen(4, false)).toBeLessThan(4);
  });

  test("a class token has a row of its own and neither evidence nor sum", () => {
    const made = make(1376, 636, 8, 8, 2, { classToken: true });
    expect([made.evidence, made.sum]).toEqual([null, null]);
    expect(made.rowY(0) + made.rowHeight(0)).toBeLessThan(made.rowY(1));
    expect(made.rowOf(5)).toBe(6);
    expect(made.rowY(made.rowOf(5))).toBe(made.ty(5));
    expect(made.heads.map(({ stage }) => stage)).not.toContain("evidence");
  });

  test("one conv stage has no flat maps; three have two columns of them where there is room", () => {
    expect(make(1376, 636, 8, 8, 2, { stages: 1 }).flats).toHaveLength(0);
    expect(make(1376, 636, 8, 8, 2, { stages: 2 }).flats).toHaveLength(1);
    expect(make(1376, 636, 8, 8, 2, { stages: 3 }).flats).toHaveLength(2);
    expect(make(756, 636, 8, 8, 2, { stages: 3 }).flats).toHaveLength(0);
  });

  test("the photo keeps its form", () => {
    for (const aspect of [0.6, 1, 1.7]) {
      const { photo, pixels } = make(1376, 636, 8, 8, 2, { aspect });
      expect(photo.height / photo.width).toBeCloseTo(aspect);
      expect(pixels?.height).toBeCloseTo(photo.height);
      expect(photo.y + photo.height).toBeLessThan(pixels?.y ?? 0);
    }
  });

  test("has the measures of the design at 1440 and 1280 pixels", () => {
    const large = make(1376, 636, 8, 8, 2),
      small = make(1216, 456, 8, 8, 2);
    expect(large.photo.width).toBe(230);
    expect(small.photo.width).toBe(159);
    expect(large.bottom - large.top).toBe(520);
    expect([large.tokenColumns[0]?.width, small.tokenColumns[0]?.width]).toEqual([22, 18]);
    expect([large.classes?.width, small.classes?.width]).toEqual([176, 170]);
    expect(large.sum?.width).toBeGreaterThan(70);
    expect(small.sum?.width).toBeGreaterThan(70);
  });

  test("heads are in order, and none is under the next", () => {
    for (const [name, { heads, width }] of CASES) {
      heads.forEach((head, i) => {
        const next = heads[i + 1]?.x ?? width + 8;
        expect(head.width === 40 || head.x + head.width <= next - 8 + 1e-9, name).toBe(true); // 40 is the least
      });
      expect(
        heads.map(({ x }) => x),
        name,
      ).toEqual(heads.map(({ x }) => x).sort((a, b) => a - b));
    }
  });

  test("the figure of the pool has photo, tokens, pool and evidence in its width, on a phone and for a projector", () => {
    for (const [width, height, scale, sum] of [
      [358, 232, 1, false],
      [1184, 576, 2.15, true],
    ] as const) {
      const made = make(width, height, 8, 8, 2, { figure: "pool", scale, sum });
      const list = edges(made);
      list.forEach(([from], i) => expect(from, `${i}`).toBeGreaterThanOrEqual((list[i - 1]?.[1] ?? 0) - 1e-9));
      expect(list.at(-1)?.[1]).toBeLessThanOrEqual(width + 1e-9);
      expect(made.spans).toEqual([]);
      expect(made.sum !== null).toBe(sum);
    }
  });

  test("refuses a grid that does not have as many tokens", () => {
    expect(() => layout(1376, 636, 63, 2, { rows: 8, columns: 8 })).toThrow(RangeError);
  });
});

test("stack puts shares on one another and keeps their proportions if they do not sum to 1", () => {
  expect(Array.from(stack([1, 3], 10, 100))).toEqual([10, 35, 110]);
  expect(Array.from(stack([0, 0], 10, 100))).toEqual([10, 10, 10]);
});

test("linear maps a range on another, and an empty range on its start", () => {
  expect(linear([-1, 3], [0, 100])(1)).toBe(50);
  expect(linear([2, 2], [7, 9])(2)).toBe(7);
});
