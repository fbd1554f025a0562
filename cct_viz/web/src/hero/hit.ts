// Which token a point of the drawing means.

import type { Layout } from "./layout.ts";

export interface Hit {
  readonly token: number;
  /** The part of the drawing that was hit. */
  readonly part: "picture" | "maps" | "tokens" | "pool";
}

/** Image token at shares (v, u) of the picture's height and width. */
export type TokenAt = (v: number, u: number) => number;

const inside = (share: number): boolean => share >= 0 && share < 1;

function inBox(
  box: { x: number; y: number; width: number; height: number },
  x: number,
  y: number,
): [v: number, u: number] | null {
  const u = (x - box.x) / box.width,
    v = (y - box.y) / box.height;
  return inside(u) && inside(v) ? [v, u] : null;
}

function inGrid(layout: Layout, [v, u]: readonly [number, number]): number {
  return Math.floor(v * layout.rows) * layout.columns + Math.floor(u * layout.columns);
}

function inMaps(layout: Layout, x: number, y: number): number | null {
  for (const { x: left, width, height, tops } of layout.flats)
    for (const top of tops) {
      const at = inBox({ x: left, y: top, width, height }, x, y);
      if (at) return inGrid(layout, at);
    }
  const deck = layout.deck;
  if (!deck) return null;
  const front = deck.x + (deck.sheets - 1) * deck.step,
    u = (x - front) / deck.width,
    at = inBox({ x: front, y: deck.y - deck.shear * u, width: deck.width, height: deck.height }, x, y);
  return at && inGrid(layout, at);
}

/** The image token whose row is at y; the rows are in order, so a search by halves finds it. */
function search(count: number, end: (t: number) => number, y: number): number {
  let low = 0,
    high = count - 1;
  while (low < high) {
    const half = (low + high) >> 1;
    if (y < end(half)) high = half;
    else low = half + 1;
  }
  return low;
}

/** The token at a point, or null where no token is drawn. */
export function hit(layout: Layout, tokenAt: TokenAt, x: number, y: number): Hit | null {
  for (const box of [layout.photo, layout.pixels]) {
    const at = box && inBox(box, x, y);
    if (at) return { token: tokenAt(...at), part: "picture" };
  }
  const cell = inMaps(layout, x, y);
  if (cell !== null) return { token: cell, part: "maps" };
  const start = layout.tokenColumns[0]?.x ?? 0,
    end = layout.sum ? layout.pipe - 4 : layout.evidence ? layout.width : layout.pool.x1;
  if (x < start - 4 || x > end || y < layout.top || y > layout.bottom) return null;
  const tokens = layout.pool.x0 + (layout.evidence ? (layout.pool.x1 - layout.pool.x0) * 0.45 : 0);
  if (!layout.evidence || x <= tokens)
    return {
      token: search(layout.tokens, (t) => layout.ty(t) + layout.pitch, y),
      part: x <= tokens ? "tokens" : "pool",
    };
  const segmentEnd = (t: number) => layout.segment(t)[0] + layout.segment(t)[1];
  return { token: search(layout.tokens, segmentEnd, y), part: "pool" };
}
