// What the scenes draw with: the drawing's parts, the theme's colours, and pictures that are made once.

import type { Drawn } from "../hero/drawn.ts";
import { channelPicture } from "../hero/images.ts";
import { attendedIn, pooledOf, type Attended, type PooledPath } from "../hero/path.ts";
import { strandsOf } from "../hero/strands.ts";
import { addressOf } from "../widgets/address.ts";
import { sheetsOf, type StageSheets } from "./sheets.ts";

export type Context = CanvasRenderingContext2D;

export const COLOURS = ["paper", "ink", "soft", "faint", "for", "against", "weight", "map-low", "map-high"] as const;
export type Colours = Record<(typeof COLOURS)[number], string>;

/** Everything that stays the same from frame to frame. */
export interface Paint {
  readonly drawn: Drawn;
  /** Device pixels for a pixel of the drawing. */
  readonly scale: number;
  readonly colours: Colours;
  readonly stages: readonly StageSheets[];
  /** Of each conv stage the maps that are shown, in the theme's colours. */
  readonly maps: readonly (readonly HTMLCanvasElement[])[];
  readonly strands: readonly { readonly path: Path2D; readonly colour: string }[];
  readonly pooled: PooledPath | null;
  /** What the lit token attends to in each layer; nothing in one that is folded. */
  readonly lines: readonly (readonly Line[])[];
  /** Tokens that have arrived in their column, drawn once each; the canvas is as large as the drawing. */
  readonly settled: { readonly canvas: HTMLCanvasElement; count: number };
  /** The picture as the model gets it. */
  readonly pixels: HTMLImageElement;
}

export interface Line extends Omit<Attended, "path"> {
  readonly path: Path2D;
}

export function coloursOf(element: Element): Colours {
  const style = getComputedStyle(element);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Colours;
}

export function paintOf(drawn: Drawn, colours: Colours, scale: number): Paint {
  const { scene, token, channels } = drawn,
    { trace } = scene,
    pixels = new Image();
  pixels.src = addressOf(trace.pixels, trace.config.imageSize);
  return {
    drawn,
    scale,
    colours,
    pixels,
    stages: sheetsOf(scene),
    maps: trace.featureMaps.map((map, stage) =>
      channels[stage].map((channel) => channelPicture(map, channel, colours["map-low"], colours["map-high"])),
    ),
    strands: strandsOf(scene).map(({ path, colour }) => ({ path: new Path2D(path), colour })),
    pooled: pooledOf(scene, token),
    lines: scene.layout.spans.map((span) =>
      span.open ? attendedIn(scene, span, token).map((line) => ({ ...line, path: new Path2D(line.path) })) : [],
    ),
    settled: { canvas: document.createElement("canvas"), count: 0 },
  };
}

/** Run `draw` with the context's settings put back afterwards. */
export function kept(context: Context, draw: () => void): void {
  context.save();
  draw();
  context.restore();
}

/** Hide a part of the drawing. */
export function cover(context: Context, colour: string, x: number, y: number, width: number, height: number): void {
  if (width <= 0 || height <= 0) return;
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
}

/** A frame on a picture: dark on a white casing, as in the drawing. */
export function frameOn(context: Context, x: number, y: number, width: number, height: number): void {
  for (const [colour, thick] of [
    ["#fff", 5],
    ["#1b1a17", 2],
  ] as const) {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.strokeRect(x, y, width, height);
  }
}
