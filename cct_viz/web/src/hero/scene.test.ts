import { describe, expect, test } from "vitest";
import { discsOf } from "./discs.ts";
import { madeDepths, madeTrace, type Made } from "./made_trace.ts";
import { pathOf } from "./path.ts";
import { groupRibbons, makeScene, type Scene, type SceneOptions } from "./scene.ts";
import { spotExtent, stageExtent, toldUntil, veiled, veiledWords, type Spot } from "./stages.ts";

function sceneOf(made: Made = {}, more: Partial<SceneOptions> = {}): Scene {
  const trace = madeTrace(made);
  return makeScene({
    trace,
    width: 1376,
    height: 636,
    figure: "page",
    target: 1,
    truth: null,
    openLayer: null,
    head: null,
    depths: madeDepths(trace),
    uncertain: false,
    ...more,
  });
}

/** All numbers that a value holds, those in texts too. */
function numbersIn(value: unknown, skip: readonly string[] = ["trace", "colours"]): number[] {
  if (typeof value === "number") return [value];
  if (typeof value === "string") return /NaN|undefined|Infinity/.test(value) ? [NaN] : [];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value)
    .filter(([name]) => !skip.includes(name))
    .flatMap(([, part]) => numbersIn(part, skip));
}

const KINDS: Made[] = [];
for (const pool of ["seqpool", "mean", "max", "class_token"] as const)
  for (const layers of [1, 2, 3, 7, 14]) for (const stages of [1, 2, 3]) KINDS.push({ pool, layers, stages });
KINDS.push({ rows: 6, columns: 10, classes: 100 }, { rows: 3, columns: 2, classes: 2 }, { output: "sigmoid" });
KINDS.push({ rows: 16, columns: 16, layers: 7, stages: 1 });

describe.each(["page", "compact", "pool"] as const)("%s", (figure) => {
  test.each(KINDS)("every place is a number: %o", (made) => {
    const scene = sceneOf(made, { figure, height: figure === "compact" ? 204 : 636, sum: true, uncertain: true });
    expect(numbersIn(scene).filter((value) => !Number.isFinite(value))).toEqual([]);
    const tokens = scene.trace.config.numTokens;
    for (const token of [0, Math.floor(tokens / 2), tokens - 1])
      expect(numbersIn(pathOf(scene, token)).filter((value) => !Number.isFinite(value))).toEqual([]);
  });
});

const ends = (path: string): number[] => {
  const found = [...path.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
  return [...(found[0] ?? []), ...(found.at(-1) ?? [])];
};

test("ribbons are as wide as the attention: one factor for all, in the colour of the key", () => {
  const { ribbons, trace, layout, colours } = sceneOf({ rows: 2, columns: 2, heads: 1, layers: 1 }),
    wide = ribbons.filter(({ width }) => width > 0.35);
  expect(ribbons).toHaveLength(4 * 4); // four keys are all there are
  const shareOf = ({ path }: { path: string }) => {
    const [, y0 = 0, , y1 = 0] = ends(path),
      rowAt = (y: number) =>
        Array.from({ length: 4 }, (_, t) => Math.abs(layout.ty(t) + layout.pitch / 2 - y)).findIndex((d) => d < 0.1);
    return { key: rowAt(y0), share: trace.attentions?.[rowAt(y1) * 4 + rowAt(y0)] ?? NaN };
  };
  const factor = (wide[0]?.width ?? 0) / shareOf(wide[0] ?? { path: "" }).share;
  for (const ribbon of wide) {
    const { key, share } = shareOf(ribbon);
    expect(ribbon.width / share).toBeCloseTo(factor, 4);
    expect(ribbon.colour).toBe(colours[key]);
  }
});

test("the bar's area is the contribution: height by length in one scale for all tokens", () => {
  for (const pool of ["seqpool", "mean", "max"] as const) {
    const scene = sceneOf({ pool }),
      scale = Array.from({ length: 16 }, (_, t) => {
        const [, height] = scene.layout.segment(t),
          length = scene.lengthX(scene.pooling?.lengths[t] ?? 0) - scene.lengthX(0);
        return (height * length) / (scene.pooling?.contributions[t] ?? NaN);
      });
    scale.forEach((value) => expect(value / (scale[0] ?? NaN), pool).toBeCloseTo(1, 4));
  }
});

test("the running sum of the target ends at its logit, and so does the pipe start", () => {
  const scene = sceneOf(),
    end = scene.sumX(scene.trace.logits[1] ?? 0);
  expect(ends(scene.sums.find(({ index }) => index === 1)?.path ?? "")[2]).toBeCloseTo(end, 1);
  expect(ends(scene.pipe)[0]).toBeCloseTo(end, 1);
});

test("steps of the sum are as wide as the contribution, and follow one another", () => {
  const scene = sceneOf(),
    at = (t: number) => pathOf(scene, t).pooled;
  for (let t = 0; t < 16; t++) {
    const value = scene.pooling?.contributions[t] ?? 0,
      width = Math.abs(scene.sumX(value) - scene.sumX(0));
    expect(at(t)?.step?.width).toBeCloseTo(Math.max(2, width), 5);
    expect(at(t)?.positive).toBe(value >= 0);
  }
});

test("bars of the classes are as long as the probabilities", () => {
  const { classRows, layout, trace } = sceneOf();
  expect(classRows.rows).toHaveLength(5);
  for (const { index, bar } of classRows.rows)
    expect(bar.width).toBeCloseTo(
      Math.max(bar.height, (layout.classes?.width ?? 0) * (trace.probabilities[index] ?? 0)),
    );
});

test("class rows lie in the drawing, with the row for none of them", () => {
  for (const classes of [2, 10, 100])
    for (const height of [636, 456]) {
      const { classRows, layout } = sceneOf({ classes }, { uncertain: true, height, truth: 1 }),
        ys = [...classRows.rows.map(({ y }) => y), classRows.none?.y ?? NaN];
      expect(ys).toEqual([...ys].sort((a, b) => a - b));
      expect((classRows.none?.y ?? Infinity) + 50).toBeLessThanOrEqual(layout.bottom + 1);
      if (classes === 100) expect(classRows.others).toMatchObject({ count: 95 });
      else expect(classRows.others).toBeNull();
    }
});

test("feet say what the model would answer at each depth", () => {
  const trace = madeTrace({ classes: 3 }),
    depths = { ...madeDepths(trace), probabilities: [0.1, 0.2, 0.7, 0.6, 0.3, 0.1, 0, 1, 0] },
    scene = sceneOf({ classes: 3 }, { depths });
  expect(scene.feet.map(({ label, probability }) => [label, probability])).toEqual([
    ["class 2", 0.7],
    ["class 0", 0.6],
    ["class 1", 1],
  ]);
  expect(sceneOf({}, { depths: null }).feet).toEqual([]);
});

test("feet of folded layers: first, before and after the open one, last; and they keep apart", () => {
  const { feet } = sceneOf({ layers: 7 }, { openLayer: 3 });
  expect(feet).toHaveLength(4);
  feet.slice(1).forEach(({ x }, i) => expect(x - (feet[i]?.x ?? 0)).toBeGreaterThan(45));
  expect(sceneOf({ layers: 7 }, { openLayer: 6 }).feet).toHaveLength(3);
});

test("marks of a column are the tokens' own scores, over the largest of all columns", () => {
  const trace = madeTrace({ rows: 1, columns: 2, layers: 1, classes: 1 }),
    scene = sceneOf(
      { rows: 1, columns: 2, layers: 1, classes: 1 },
      { target: 0, depths: { ...madeDepths(trace), evidence: [1, -4, 2, 3] } },
    );
  expect(scene.marks[0]).toEqual([]);
  expect(scene.marks[1]?.map(({ tone }) => tone)).toEqual([0.5, 0.75]);
});

test("with a class token: its own row, what it reads, and the pipe from it", () => {
  const scene = sceneOf({ pool: "class_token" }),
    { layout } = scene;
  expect(scene.pooling).toBeNull();
  expect(scene.marks[1]).toHaveLength(17);
  expect(scene.reading).toHaveLength(16);
  const [x, y] = ends(scene.pipe);
  expect([x, y]).toEqual([layout.pool.x0, layout.rowY(0) + layout.rowHeight(0) / 2].map((v) => expect.closeTo(v, 1)));
  const path = pathOf(scene, 3);
  expect(path.pooled).toBeNull();
  expect(path.read?.share).toBeGreaterThan(0);
  expect(new Set(discsOf(scene).map(({ kind }) => kind))).toEqual(new Set(["weight"]));
});

test("areas of the discs are the contributions", () => {
  const scene = sceneOf(),
    discs = discsOf(scene),
    values = Array.from(scene.pooling?.contributions ?? []),
    largest = Math.max(...values.map(Math.abs)),
    most = Math.max(...discs.map(({ radius }) => radius));
  expect(discs.map(({ radius }) => (radius / most) ** 2)).toEqual(
    values.map((value) => expect.closeTo(Math.abs(value) / largest, 5)),
  );
  expect(discs.map(({ kind }) => kind)).toEqual(values.map((value) => (value < 0 ? "against" : "for")));
});

describe("path", () => {
  test("frames the receptive field in photo and pixels", () => {
    const scene = sceneOf(),
      [above, below] = pathOf(scene, 5).frames,
      { photo, pixels } = scene.layout;
    // Token 5 of 4 x 4 sees rows and columns 0 to 12 of 16.
    expect(above).toMatchObject({ x: photo.x, width: photo.width * 0.75, y: photo.y });
    expect(below).toMatchObject({ y: pixels?.y ?? NaN, height: (pixels?.height ?? NaN) * 0.75 });
  });

  test("beside discs it frames the patch", () => {
    const scene = sceneOf({}, { figure: "pool" }),
      [frame] = pathOf(scene, 5).frames;
    expect(frame?.width).toBeCloseTo(scene.layout.photo.width / 4);
    expect(frame?.x).toBeCloseTo(scene.layout.photo.width / 4);
  });

  test("feeds every map of a stage into every map of the next, and these into the cell", () => {
    const cones = (stages: number) => pathOf(sceneOf({ stages }), 3).cones.length;
    expect([cones(1), cones(2), cones(3)]).toEqual([1, 3 + 3, 3 + 9 + 3]);
  });

  test("has a patch at each column, and with folded layers at the ends of the open one", () => {
    expect(pathOf(sceneOf({ layers: 3 }), 3).beads).toHaveLength(4);
    expect(pathOf(sceneOf({ layers: 7 }, { openLayer: 3 }), 3).beads).toHaveLength(4);
    const { beads } = pathOf(sceneOf({ layers: 14 }, { openLayer: 0 }), 3);
    beads.slice(1).forEach(({ x }, i) => expect(x - (beads[i]?.x ?? 0)).toBeGreaterThanOrEqual(26));
  });

  test("patches and attention stay between top and bottom, for the first and the last token", () => {
    const scene = sceneOf({ rows: 8, columns: 8 });
    for (const token of [0, 63]) {
      const { beads, attended } = pathOf(scene, token);
      for (const { y } of beads) {
        expect(y).toBeGreaterThanOrEqual(scene.layout.top);
        expect(y + scene.layout.bead).toBeLessThanOrEqual(scene.layout.bottom);
      }
      const ys = attended.flatMap((path) => [...path.matchAll(/,(-?[\d.]+)/g)].map(([, y]) => Number(y)));
      expect(Math.min(...ys)).toBeGreaterThanOrEqual(scene.layout.top - 0.01);
      expect(Math.max(...ys)).toBeLessThanOrEqual(scene.layout.bottom + 0.01);
    }
  });

  test("shows one head or the mean of the heads", () => {
    const [mean, first] = [null, 0].map((head) => pathOf(sceneOf({}, { head }), 3).attended.join());
    expect(first).not.toEqual(mean);
  });
});

describe("stages", () => {
  test("each lies where it is drawn", () => {
    const { layout } = sceneOf();
    expect(stageExtent(layout, "attention", 1)).toMatchObject({ x0: layout.spans[1]?.x0, x1: layout.spans[1]?.x1 });
    expect(stageExtent(layout, "pool").x0).toBe(layout.pool.x0);
    for (const { stage, layer } of layout.heads) {
      const { x0, x1 } = stageExtent(layout, stage, layer);
      expect(x1, stage).toBeGreaterThan(x0);
    }
  });

  test.each([2, 7, 14])("a veil leaves one of %i layers open with the tokens before and after it", (layers) => {
    for (let layer = 0; layer < layers; layer++) {
      const { layout } = sceneOf({ layers }, { openLayer: layer }),
        { x0, x1 } = spotExtent(layout, { stage: "attention", layer }),
        [before, after] = layout.tokenColumns.slice(layer, layer + 2),
        margin = (before?.x ?? 0) - x0;
      expect(margin).toBeGreaterThan(0);
      expect(margin).toBeLessThanOrEqual(layout.folded ? 2 : 12);
      expect(x1).toBeCloseTo((after?.x ?? 0) + (after?.width ?? 0));
    }
  });

  test("a veil covers what lies between its spots, and words only as far as it covers the drawing", () => {
    const { layout } = sceneOf(),
      near: readonly Spot[] = [
        { stage: "attention", layer: null },
        { stage: "evidence", layer: null },
        { stage: "classes", layer: null },
      ],
      gaps = veiled(layout, near);
    expect(gaps.length).toBeGreaterThan(2);
    for (const gap of gaps) {
      const words = veiledWords(layout, gap);
      expect(words.x0).toBeGreaterThanOrEqual(gap.x0);
      expect(words.x1).toBeLessThanOrEqual(gap.x1);
      expect(words.x1).toBeGreaterThanOrEqual(words.x0);
      for (const spot of near) {
        const { x0, x1 } = spotExtent(layout, spot);
        expect(gap.x1 <= x0 || gap.x0 >= x1).toBe(true);
      }
    }
  });

  test.each([
    { layers: 2, pool: "seqpool" },
    { layers: 3, pool: "mean" },
    { layers: 7, pool: "max" },
    { layers: 14, pool: "class_token" },
  ] as const)("the film tells $pool and $layers layers from left to right", (made) => {
    const { layout } = sceneOf(made),
      attention = layout.spans.map(({ layer }) => ["attention", layer] as const),
      xs = [
        ...(["pixels", "convolution", "tokens"] as const).map((chapter) => toldUntil(layout, chapter, 0)),
        ...attention.map(([chapter, layer]) => toldUntil(layout, chapter, layer)),
        ...(["pool", "sum", "classes"] as const).map((chapter) => toldUntil(layout, chapter, 0)),
      ];
    expect(xs).toEqual([...xs].sort((a, b) => a - b));
    expect(xs[xs.length - 1]).toBeGreaterThan(layout.width);
  });
});

test("many ribbons of one colour and width become one path, and none is lost", () => {
  const ribbons = [
      { path: "M0,0C1,0 1,1 2,1", colour: "rgb(1 2 3)", width: 0.9 },
      { path: "M0,5C1,5 1,6 2,6", colour: "rgb(1 2 3)", width: 1.1 },
      { path: "M0,7C1,7 1,8 2,8", colour: "rgb(1 2 3)", width: 4 },
      { path: "M0,9C1,9 1,9 2,9", colour: "rgb(9 9 9)", width: 1 },
    ],
    groups = groupRibbons(ribbons);
  expect(groups.map(({ colour, width }) => [colour, width])).toEqual([
    ["rgb(1 2 3)", 1],
    ["rgb(1 2 3)", 4],
    ["rgb(9 9 9)", 1],
  ]);
  expect(groups.map(({ path }) => path).join("").length).toBe(ribbons.map(({ path }) => path).join("").length);
});

test("a grid of more than 1,024 tokens has few elements", () => {
  const scene = sceneOf({ rows: 33, columns: 32, layers: 1, heads: 1, classes: 2, stages: 1 });
  expect(scene.ribbons.length).toBeLessThan(33 * 32);
  expect(numbersIn(scene).every(Number.isFinite)).toBe(true);
});
