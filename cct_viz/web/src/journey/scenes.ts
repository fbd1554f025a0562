// The film as a pure function of time: which scene, how far it is, and which station, layer and token it shows.

import type { Station } from "../core/state.svelte.ts";

export type SceneName = "pixels" | "convolution" | "tokens" | "attention" | "pool" | "sum" | "classes";

/** What the film needs to know of a model. */
export interface FilmShape {
  /** Rows and columns of each conv stage; the last one's cells are the tokens. */
  readonly grids: readonly { readonly rows: number; readonly columns: number }[];
  readonly layers: number;
  /** Whether the score splits into a part of each token; false with a class token. */
  readonly splits: boolean;
}

export interface FilmScene {
  readonly name: SceneName;
  /** The station that opens where the film pauses. */
  readonly station: Station;
  /** Counted from 0; 0 where the scene is not of one layer. */
  readonly layer: number;
  /** Seconds. */
  readonly start: number;
  readonly duration: number;
}

export interface Film {
  readonly scenes: readonly FilmScene[];
  /** Seconds, at most 45. */
  readonly duration: number;
  readonly shape: FilmShape;
}

export interface Frame {
  readonly scene: FilmScene;
  readonly index: number;
  /** 0 to 1, of the scene. */
  readonly progress: number;
  /** The conv stage that is painted; 0 outside the convolution. */
  readonly stage: number;
  /** The share of cells or tokens that is done, 0 to 1, in a scene that goes through them one by one; else 1. */
  readonly share: number;
  /** The token that a scene has come to which goes through them; null before, after and elsewhere: the lit one stays. */
  readonly token: number | null;
}

const SECONDS: Record<SceneName, number> = {
  pixels: 4.5,
  convolution: 7.5,
  tokens: 5,
  attention: 4.5,
  pool: 4.5,
  sum: 6.5,
  classes: 5.5,
};
/** Seconds of all attention layers together. */
const MOST_ATTENTION = 11;
/** The part of a scene in which it goes through the cells; what is before and after stands still. */
const SWEEPS: Partial<Record<SceneName, readonly [number, number]>> = {
  convolution: [0.05, 0.97],
  tokens: [0.12, 0.9],
  sum: [0.3, 0.92],
};

export function makeFilm(shape: FilmShape): Film {
  const attention = Math.min(SECONDS.attention, MOST_ATTENTION / shape.layers),
    scenes: FilmScene[] = [];
  const add = (name: SceneName, station: Station, layer = 0, duration = SECONDS[name]): void => {
    const last = scenes.at(-1);
    scenes.push({ name, station, layer, start: last ? last.start + last.duration : 0, duration });
  };
  add("pixels", "pixels");
  add("convolution", "convolution");
  add("tokens", "tokens");
  for (let layer = 0; layer < shape.layers; layer++) add("attention", "attention", layer, attention);
  add("pool", "pool");
  if (shape.splits) add("sum", "pool");
  add("classes", "classes");
  const last = scenes[scenes.length - 1];
  return { scenes, duration: last.start + last.duration, shape };
}

/** The index of the scene that runs at a time; the last one from the end on. */
export function sceneAt(film: Film, time: number): number {
  const at = film.scenes.findIndex(({ start, duration }) => time < start + duration);
  return at < 0 ? film.scenes.length - 1 : at;
}

export function frameAt(film: Film, time: number): Frame {
  const index = sceneAt(film, time),
    scene = film.scenes[index],
    progress = clamp((time - scene.start) / scene.duration),
    stages = film.shape.grids.length,
    stage = scene.name === "convolution" ? Math.min(stages - 1, Math.floor(progress * stages)) : 0,
    sweep = SWEEPS[scene.name];
  if (!sweep) return { scene, index, progress, stage, share: 1, token: null };
  const inside = scene.name === "convolution" ? progress * stages - stage : progress,
    share = quicken(part(inside, ...sweep));
  const token = share === 0 || share === 1 ? null : tokenOf(film, stage, scene.name, share);
  return { scene, index, progress, stage, share, token };
}

/** The first cell or token takes its time, so that one sees what happens; the later ones go faster. */
const quicken = (share: number): number => 0.3 * share + 0.7 * share * share;

/** The cell that is being painted, in a grid of which a share is done; row by row. */
export const cellAt = (share: number, count: number): number => Math.min(count - 1, Math.floor(share * count));

function tokenOf(film: Film, stage: number, name: SceneName, share: number): number {
  const tokens = film.shape.grids[film.shape.grids.length - 1],
    grid = name === "convolution" ? film.shape.grids[stage] : tokens,
    cell = cellAt(share, grid.rows * grid.columns),
    row = Math.floor(((Math.floor(cell / grid.columns) + 0.5) / grid.rows) * tokens.rows),
    column = Math.floor((((cell % grid.columns) + 0.5) / grid.columns) * tokens.columns);
  return row * tokens.columns + column;
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));

/** How far `progress` is between two moments, 0 to 1. */
export const part = (progress: number, from: number, to: number): number => clamp((progress - from) / (to - from));

/** Slow at both ends. */
export const ease = (share: number): number => share * share * (3 - 2 * share);

/** The moment at which a scene is complete: its end, just before the next one starts. */
export const endOf = ({ start, duration }: FilmScene): number => start + duration - 1e-6;
