import { describe, expect, it } from "vitest";
import { madeTrace, type Made } from "../hero/made_trace.ts";
import { makeScene, type Scene } from "../hero/scene.ts";
import { filmOf } from "./film.ts";
import { endOf, frameAt } from "./scenes.ts";
import { at, sheetsOf } from "./sheets.ts";
import { cameraOf, coversOf } from "./view.ts";

const sceneOf = (made: Made, width = 1376, openLayer: number | null = null): Scene =>
  makeScene({
    trace: madeTrace(made),
    width,
    height: 636,
    figure: "page",
    target: 1,
    truth: null,
    openLayer,
    head: null,
    depths: null,
    uncertain: false,
  });

const MODELS: Made[] = [
  { layers: 2 },
  { layers: 2, pool: "mean", stages: 1 },
  { layers: 3, pool: "max", stages: 3, rows: 2, columns: 3 },
  { layers: 7, rows: 3, columns: 5 },
  { layers: 14, pool: "class_token" },
];

describe.each(MODELS)("of %j", (made) => {
  const film = filmOf(madeTrace(made));

  it("the cover only ever moves to the right, until all is shown", () => {
    const layouts = Array.from({ length: made.layers ?? 2 }, (_, layer) => sceneOf(made, 1376, layer).layout);
    let before = 0;
    for (const scene of film.scenes) {
      const layout = layouts[scene.layer];
      if (layout.folded && scene.layer) before = layout.spans[scene.layer].x0; // the open layer has moved on
      for (const progress of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
        const time = Math.min(endOf(scene), scene.start + progress * scene.duration),
          cover = coversOf(layout, frameAt(film, time)).columns;
        expect(cover, `${scene.name} ${scene.layer} ${progress}`).toBeGreaterThanOrEqual(before - 1e-3);
        before = scene.name === "attention" || !layout.folded ? cover : 0;
      }
    }
    expect(coversOf(layouts[0], frameAt(film, film.duration)).columns).toBeGreaterThan(1376);
  });

  it("a phone's window shows what the scene is about", () => {
    const { layout } = sceneOf(made, 1200);
    const windowOf = (name: string) => {
      const scene = film.scenes.filter((one) => one.name === name)[0],
        x = cameraOf(layout, film, frameAt(film, endOf(scene)), 390);
      return [x, x + 390] as const;
    };
    for (const { name } of film.scenes) {
      const [from, to] = windowOf(name);
      expect(from).toBeGreaterThanOrEqual(-16);
      expect(to).toBeLessThanOrEqual(1216);
    }
    expect(windowOf("pixels")[0]).toBe(-16);
    expect(windowOf("tokens")[1]).toBeGreaterThan((layout.tokenColumns[0]?.x ?? 0) + 20);
    expect(windowOf("classes")[1]).toBe(1216);
    expect(cameraOf(layout, film, frameAt(film, 0), 1200)).toBe(0);
  });

  it("every cell has a window inside what it slides over", () => {
    const scene = sceneOf(made);
    const stages = sheetsOf(scene);
    expect(stages).toHaveLength(made.stages ?? 2);
    for (const { rows, columns, window, sheets } of stages) {
      expect(sheets.length).toBeGreaterThan(0);
      for (let cell = 0; cell < rows * columns; cell++) {
        const [y0, x0, y1, x1] = window(cell);
        expect(Math.min(y0, x0)).toBeGreaterThanOrEqual(0);
        expect(Math.max(y1, x1)).toBeLessThanOrEqual(1);
        expect(y1 - y0).toBeGreaterThan(0);
        expect(x1 - x0).toBeGreaterThan(0);
      }
    }
  });
});

it("a sheet's corners are the deck's", () => {
  const { layout } = sceneOf({}),
    [, last] = sheetsOf(sceneOf({})),
    deck = layout.deck;
  if (!deck) throw new Error("a page has a deck");
  expect(at(last.sheets[0], 0, 0)).toEqual([deck.x, deck.y]);
  expect(at(last.sheets[0], 1, 1)[1]).toBeCloseTo(deck.y - deck.shear + deck.height);
});
