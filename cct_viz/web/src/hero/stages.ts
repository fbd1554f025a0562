// Where each stage lies: for the frame of an open station, the veil of the tour and the stops of the journey.

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

/** What the veil leaves open around a stage: its columns on both sides belong to it. */
export function spotExtent(layout: Layout, stage: Stage): Extent {
  const { tokenColumns } = layout,
    [first] = tokenColumns,
    last = tokenColumns[tokenColumns.length - 1] ?? first,
    { x0, x1 } = stageExtent(layout, stage);
  if (!first || !last) return { x0, x1 };
  if (stage === "convolution") return { x0, x1: first.x + first.width };
  if (stage === "attention") return { x0: first.x - 12, x1: last.x + last.width };
  return stage === "pool" ? { x0: last.x - 12, x1 } : { x0, x1 };
}

export interface JourneyStop {
  readonly stage: Stage | "tokens";
  /** Of an attention stop; null where it stands for all layers. */
  readonly layer: number | null;
  /** The drawing is shown up to here. */
  readonly x: number;
}

/** The stops of the journey, from left to right. */
export function journeyStops(layout: Layout): JourneyStop[] {
  const { photo, fan, tokenColumns, evidence, sum, pool, width } = layout,
    first = tokenColumns[0],
    last = tokenColumns.at(-1),
    end = (column: { x: number; width: number } | undefined) => (column?.x ?? 0) + (column?.width ?? 0),
    stops: JourneyStop[] = [
      { stage: "pixels", layer: null, x: photo.x + photo.width + 4 },
      { stage: "convolution", layer: null, x: fan.x0 },
      { stage: "tokens", layer: null, x: end(first) + 2 },
    ];
  if (layout.folded) stops.push({ stage: "attention", layer: null, x: end(last) });
  else for (const { layer } of layout.spans) stops.push({ stage: "attention", layer, x: end(tokenColumns[layer + 1]) });
  stops.push({ stage: "pool", layer: null, x: pool.x1 + pool.bar + 1 });
  if (evidence) stops.push({ stage: "evidence", layer: null, x: evidence.x + evidence.width + 6 });
  if (sum) stops.push({ stage: "sum", layer: null, x: sum.x + sum.width + 14 });
  stops.push({ stage: "classes", layer: null, x: width + 20 });
  return stops;
}
