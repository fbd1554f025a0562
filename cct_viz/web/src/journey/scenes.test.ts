import { describe, expect, it } from "vitest";
import { STATIONS } from "../core/state.svelte.ts";
import { endOf, frameAt, makeFilm, sceneAt, type FilmShape } from "./scenes.ts";

const shape = (layers: number, { stages = 2, side = 8, splits = true } = {}): FilmShape => ({
  grids: Array.from({ length: stages }, (_, i) => {
    const cells = side * 2 ** (stages - 1 - i);
    return { rows: cells, columns: cells };
  }),
  layers,
  splits,
});
const CASES = [1, 2, 3, 7, 14].flatMap((layers) => [
  { layers, film: makeFilm(shape(layers)) },
  { layers, film: makeFilm(shape(layers, { stages: 1, side: 16 })) },
  { layers, film: makeFilm(shape(layers, { stages: 3, side: 4, splits: false })) },
]);

describe.each(CASES)("a film of $layers layers", ({ layers, film }) => {
  it("takes at most 45 seconds, without a gap", () => {
    expect(film.duration).toBeLessThanOrEqual(45);
    film.scenes.reduce((at, { start, duration }) => (expect(start).toBeCloseTo(at), start + duration), 0);
  });

  it("passes through the stations in their order and through every layer", () => {
    const order = film.scenes.map(({ station }) => STATIONS.indexOf(station));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(new Set(order).size).toBe(STATIONS.length);
    const attended = film.scenes.filter(({ name }) => name === "attention").map(({ layer }) => layer);
    expect(attended).toEqual(Array.from({ length: layers }, (_, layer) => layer));
  });

  it("never goes back, and its token is one of the model's", () => {
    const { rows, columns } = film.shape.grids[film.shape.grids.length - 1];
    let before = frameAt(film, 0);
    for (let time = 0; time <= film.duration; time += 0.05) {
      const frame = frameAt(film, time);
      expect(frame.index).toBeGreaterThanOrEqual(before.index);
      const goesOn = frame.index === before.index && frame.stage === before.stage;
      if (goesOn) expect(frame.share).toBeGreaterThanOrEqual(before.share);
      expect(frame.token ?? 0).toBeGreaterThanOrEqual(0);
      expect(frame.token ?? 0).toBeLessThan(rows * columns);
      before = frame;
    }
  });
});

describe("a moment", () => {
  const film = makeFilm(shape(2));
  const named = (name: string) => film.scenes.filter((scene) => scene.name === name)[0];

  it("outside the film is its first or its last", () => {
    expect(frameAt(film, -1)).toMatchObject({ index: 0, progress: 0 });
    expect(frameAt(film, 1e3)).toMatchObject({ index: film.scenes.length - 1, progress: 1 });
  });

  it("at which a scene is complete belongs to it", () => {
    film.scenes.forEach((scene, index) => {
      expect(sceneAt(film, endOf(scene))).toBe(index);
      expect(sceneAt(film, scene.start)).toBe(index);
    });
  });

  it("of the convolution is one of a stage's cells, and the token at the same place", () => {
    const scene = named("convolution");
    const stages = [0.02, 0.3, 0.49, 0.51, 0.99].map(
      (progress) => frameAt(film, scene.start + progress * scene.duration).stage,
    );
    expect(stages).toEqual([0, 0, 0, 1, 1]);
    expect(frameAt(film, scene.start + 0.026 * scene.duration).token).toBe(0);
    expect(frameAt(film, scene.start + 0.483 * scene.duration).token).toBe(63);
    expect(frameAt(film, scene.start + 0.984 * scene.duration).token).toBe(63);
  });

  it("of tokens and sum is of the token that comes; before, after and elsewhere the lit one stays", () => {
    for (const name of ["tokens", "sum"]) {
      const { start, duration } = named(name);
      expect(frameAt(film, start + 0.89 * duration).token).toBeGreaterThan(50);
      expect(frameAt(film, start).token).toBeNull();
    }
    for (const scene of film.scenes) expect(frameAt(film, endOf(scene)).token).toBeNull();
  });

  it("with a class token has no sum", () => {
    expect(makeFilm(shape(2, { splits: false })).scenes.map(({ name }) => name)).not.toContain("sum");
  });
});
