// Where the card lies beside the drawing: where it covers least of what the veil leaves open.

import type { Layout } from "../hero/layout.ts";
import { spotExtent, type Extent, type Spot } from "../hero/stages.ts";

export const CARD = 372;
const GAP = 28;

const overlap = (x: number, open: readonly Extent[]): number =>
  open.reduce((total, { x0, x1 }) => total + Math.max(0, Math.min(x1, x + CARD) - Math.max(x0, x)), 0);

/** The left edge of the card, in pixels of the drawing. */
export function cardLeft(layout: Layout, spots: readonly Spot[]): number {
  const open = spots.map((spot) => spotExtent(layout, spot)),
    most = Math.max(0, layout.width - CARD);
  const places = [...open.map(({ x0 }) => x0 - GAP - CARD), ...open.map(({ x1 }) => x1 + GAP), 0, most].map((x) =>
    Math.min(most, Math.max(0, x)),
  );
  return places.reduce((best, x) => (overlap(x, open) < overlap(best, open) ? x : best), places[0] ?? 0);
}

const BELOW_HEADS = 156;
export const LEAST_TOP = 56;
/** Below the card: the row of the equation, or at least a margin. */
const EQUATION = 112;

/** The upper edge of the card: beside the drawing, and higher where it would cover the equation. */
export const cardTop = (window: number, card: number): number =>
  Math.max(LEAST_TOP, Math.min(BELOW_HEADS, window - card - EQUATION));
