// How much of the drawing a frame shows, and where a window that is narrower than the drawing looks.

import type { Layout } from "../hero/layout.ts";
import { toldUntil } from "../hero/stages.ts";
import { ease, part, type Film, type Frame } from "./scenes.ts";

/** In a layer's scene the lit token's lines grow first, then the drawing is uncovered, with the lines of all tokens. */
export const LINES = [0.06, 0.4] as const;
const UNCOVERED = [0.4, 0.85] as const;
const POOLED = [0.08, 0.7] as const;
/** In the last scene the score flows to its bar, then the bars grow. */
export const PIPED = [0.02, 0.25] as const;
export const BARS = [0.25, 0.75] as const;

/** Where the covers of the drawing start, in pixels from the left: of the columns, and of the words above and below. */
export interface Covers {
  readonly columns: number;
  readonly above: number;
  readonly below: number;
}

export function coversOf(layout: Layout, frame: Frame): Covers {
  const columns = coverOf(layout, frame);
  return { columns, ...wordsOf(layout, frame, columns) };
}

function coverOf(layout: Layout, { scene, progress, stage }: Frame): number {
  const { name, layer } = scene,
    until = toldUntil(layout, name, layer);
  switch (name) {
    case "pixels":
      return until;
    case "convolution":
      return sheetEdge(layout, stage);
    case "tokens":
      return layout.fan.x0;
    case "attention":
      return sweep(before(layout, layer), until, part(progress, ...UNCOVERED));
    case "pool":
      return sweep(before(layout, layout.layers), until, part(progress, ...POOLED));
    case "sum":
      return until;
    case "classes": {
      const from = toldUntil(layout, layout.sum ? "sum" : "pool", 0),
        to = (layout.classes?.x ?? layout.width) - 8;
      return progress < PIPED[1] ? sweep(from, to, part(progress, ...PIPED)) : until;
    }
  }
}

/** The right edge of the columns that are there before a layer. */
const before = (layout: Layout, layer: number): number =>
  layer ? toldUntil(layout, "attention", layer - 1) : toldUntil(layout, "tokens", 0);

const FEET = 165; // pixels by which the words below the columns start left of the first one
const HALF_FOOT = 34; // of the words below a column
const HALF_LABEL = 34; // of the words above the first column

/** No word is shown by halves: those of a column come when its layer is complete. */
function wordsOf(layout: Layout, { scene, progress, stage }: Frame, columns: number): Pick<Covers, "above" | "below"> {
  const { tokenColumns, folded, layers } = layout,
    [first] = tokenColumns,
    middle = (depth: number): number => (tokenColumns[depth]?.x ?? 0) + (tokenColumns[depth]?.width ?? 0) / 2,
    next = scene.name === "attention" ? scene.layer : layers;
  switch (scene.name) {
    case "pixels":
      return { above: 0, below: columns };
    case "convolution":
    case "tokens": // the words below the pixels reach as far as those below the columns
      return { above: 0, below: scene.name === "convolution" && stage === 0 ? columns : first.x - FEET };
    case "attention":
    case "pool": {
      const done = part(progress, scene.name === "pool" ? POOLED[1] : 0.85, 1) > 0;
      if (scene.name === "pool" && done) return { above: columns, below: columns };
      const shown = done && !folded ? next + 1 : next;
      return {
        above: folded
          ? next
            ? (layout.spans[next - 1]?.x1 ?? columns)
            : first.x + first.width
          : middle(0) + HALF_LABEL,
        below: middle(shown) + HALF_FOOT,
      };
    }
    default:
      return { above: columns, below: columns };
  }
}

const sweep = (from: number, to: number, share: number): number => from + (to - from) * ease(share);

/** The left edge of the maps that a conv stage fills; what is left of it is painted. */
function sheetEdge(layout: Layout, stage: number): number {
  const photo = toldUntil(layout, "pixels", 0);
  if (stage === 0) return photo;
  const next = layout.flats[stage]?.x ?? layout.deck?.x ?? photo;
  return next - 6;
}

/** Pixels of paper beside the drawing, where the window is at one of its ends. */
const MARGIN = 16;

/** Pixels by which a window of `width` is moved to the right over the drawing, at a frame. */
export function cameraOf(layout: Layout, film: Film, frame: Frame, width: number): number {
  if (width >= layout.width) return 0;
  const before = film.scenes[frame.index - 1],
    seconds = frame.progress * frame.scene.duration,
    to = lookAt(layout, frame, width);
  if (!before) return to;
  const from = lookAt(layout, { scene: before, stage: film.shape.grids.length - 1 }, width);
  return from + (to - from) * ease(part(seconds, 0, Math.min(0.9, frame.scene.duration / 3)));
}

function lookAt(layout: Layout, { scene, stage }: Pick<Frame, "scene" | "stage">, width: number): number {
  const { flats, fan, tokenColumns, spans, pool, sum, width: whole } = layout,
    end = toldUntil(layout, scene.name, scene.layer);
  const between = (x0: number, x1: number): number =>
    Math.min(whole - width + MARGIN, Math.max(-MARGIN, (x0 + x1 - width) / 2));
  switch (scene.name) {
    case "pixels":
      return -MARGIN;
    case "convolution": {
      const from = (flats[stage - 1]?.x ?? 0) - MARGIN;
      return between(fan.x0 - from > width ? fan.x0 - width : from, fan.x0);
    }
    case "tokens":
      return between(end + 12 - width, end + 12);
    case "attention":
      return between((tokenColumns[scene.layer]?.x ?? 0) - 12, (spans[scene.layer]?.x1 ?? end) + 24);
    case "pool":
      return between(pool.x0 - 20, end + 20);
    case "sum":
      return between(pool.x1, (sum?.x ?? 0) + (sum?.width ?? 0) + 40);
    case "classes":
      return whole - width + MARGIN;
  }
}
