// Where each stage lies: for the frame of an open station, the veil of the tour and the chapters of the film.

import type { Layout, Stage } from "./layout.ts";

export interface Extent {
  readonly x0: number;
  readonly x1: number;
}

/** Left and right edge of a stage; of all layers where `layer` is null. */
export function stageExtent(layout: Layout, stage: Stage, layer: number | null = null): Extent {
  const { photo, deck, flats, tokenColumns, spans, pool, evidence, sum, classes, width } = layout,
    first = tokenColumns[0],
    tokens = (first?.x ?? 0) + (first?.width ?? 0);
  switch (stage) {
    case "pixels":
      return { x0: photo.x - 3, x1: photo.x + photo.width + 3 };
    case "convolution": {
      const x0 = flats[0]?.x ?? deck?.x ?? photo.width;
      return { x0: x0 - 4, x1: layout.fan.x0 + 2 };
    }
    case "attention": {
      const span = spans.find((one) => one.layer === layer);
      return span?.open ? span : { x0: span?.x0 ?? spans[0]?.x0 ?? tokens, x1: span?.x1 ?? pool.x0 };
    }
    case "pool":
      return { x0: pool.x0, x1: evidence ? pool.x1 + pool.bar : pool.x1 };
    case "evidence":
      return { x0: pool.x1 + pool.bar, x1: evidence ? evidence.x + evidence.width : pool.x1 };
    case "sum":
      return { x0: (sum?.x ?? pool.x1) - 4, x1: sum ? sum.x + sum.width + 4 : layout.pipe };
    case "classes":
      return { x0: (classes?.x ?? width) - 10, x1: width + 8 };
  }
}

/** A stage that the veil leaves open; of all layers where `layer` is null. */
export interface Spot {
  readonly stage: Stage;
  readonly layer: number | null;
}

/** What the veil leaves open around a stage: its columns on both sides belong to it. */
export function spotExtent(layout: Layout, { stage, layer }: Spot): Extent {
  const { tokenColumns } = layout,
    [first] = tokenColumns,
    last = tokenColumns[tokenColumns.length - 1] ?? first,
    { x0, x1 } = stageExtent(layout, stage, layer);
  if (!first || !last) return { x0, x1 };
  if (stage === "convolution") return { x0, x1: first.x + first.width };
  if (stage === "attention" && layer !== null)
    return {
      x0: (tokenColumns[layer]?.x ?? x0) - (layout.folded ? 2 : 12),
      x1: x1 + (tokenColumns[layer + 1]?.width ?? 0),
    };
  if (stage === "attention") return { x0: first.x - 12, x1: last.x + last.width };
  return stage === "pool" ? { x0: last.x - 12, x1 } : { x0, x1 };
}

/** What the veil covers: all but the spots. */
export function veiled(layout: Layout, spots: readonly Spot[]): Extent[] {
  const open = spots.map((spot) => spotExtent(layout, spot)).sort((a, b) => a.x0 - b.x0),
    end = layout.width + BEYOND,
    gaps: Extent[] = [];
  let x = -BEYOND;
  for (const { x0, x1 } of [...open, { x0: end, x1: end }]) {
    if (x0 - VEIL_MARGIN > x) gaps.push({ x0: x, x1: x0 - VEIL_MARGIN });
    x = Math.max(x, x1 + VEIL_MARGIN);
  }
  return gaps;
}

/** The part of a gap in which words above and below the drawing are covered too: they reach beyond their columns. */
export function veiledWords(layout: Layout, { x0, x1 }: Extent): Extent {
  const reach = Math.min(WORDS, (x1 - x0) / 2);
  return { x0: x0 < 0 ? x0 : x0 + reach, x1: x1 > layout.width ? x1 : x1 - reach };
}

const VEIL_MARGIN = 6; // pixels that stay open on both sides of a spot
const BEYOND = 40; // pixels that the veil reaches beyond the drawing
const WORDS = 26; // half of "automobile"

/** A part of the story that the drawing tells from left to right. */
export type Chapter = Exclude<Stage, "evidence"> | "tokens";

/** How far the drawing is shown when a chapter has been told, in pixels from the left. */
export function toldUntil(layout: Layout, chapter: Chapter, layer: number): number {
  const { photo, fan, tokenColumns, sum, pool, width } = layout,
    // With the patch of the lit token on the column.
    end = (column: { x: number; width: number } | undefined) =>
      (column?.x ?? 0) + (column?.width ?? 0) / 2 + layout.bead / 2 + 2;
  switch (chapter) {
    case "pixels":
      return photo.x + photo.width + 4;
    case "convolution":
      return fan.x0;
    case "tokens":
      return end(tokenColumns[0]);
    case "attention":
      return end(tokenColumns[layer + 1]);
    case "pool":
      return pool.x1 + pool.bar + 1;
    case "sum":
      return (sum ? sum.x + sum.width : pool.x1) + 14;
    case "classes":
      return width + 40;
  }
}
