// One frame of the film on a canvas above the drawing.

import { drawClasses, drawSum } from "./draw_answer.ts";
import { drawConvolution, drawPixels } from "./draw_input.ts";
import { drawAttention, drawPool } from "./draw_mixing.ts";
import { drawTokens } from "./draw_tokens.ts";
import type { Layout } from "../hero/layout.ts";
import { toldUntil } from "../hero/stages.ts";
import type { Context, Paint } from "./paint.ts";
import type { FilmScene, Frame, SceneName } from "./scenes.ts";

const SCENES: Record<SceneName, (context: Context, paint: Paint, frame: Frame) => void> = {
  pixels: drawPixels,
  convolution: drawConvolution,
  tokens: drawTokens,
  attention: drawAttention,
  pool: drawPool,
  sum: drawSum,
  classes: drawClasses,
};

/** From where to where a scene is painted, in pixels: the smaller the canvas, the less there is to put together. */
export function regionOf(layout: Layout, { name, layer }: FilmScene): readonly [x0: number, x1: number] {
  const { pool, evidence, classes, width } = layout,
    tokens = toldUntil(layout, "tokens", 0);
  switch (name) {
    case "pixels":
      return [-8, layout.photo.width + 8];
    case "convolution":
      return [-8, layout.fan.x0 + 4];
    case "tokens":
      return [-8, tokens];
    case "attention":
      return [layer ? toldUntil(layout, "attention", layer - 1) - 40 : tokens - 40, toldUntil(layout, name, layer) + 8];
    case "pool":
      return [pool.x1 - 6, pool.x1 + pool.bar + 70];
    case "sum":
      return [(evidence?.x ?? pool.x1) - 8, (classes?.x ?? width) + 60];
    case "classes":
      return [(classes?.x ?? width) - 10, width + 8];
  }
}

/** @param left - where the canvas starts in the drawing */
export function drawFrame(context: Context, paint: Paint, frame: Frame, left: number): void {
  const { scale } = paint;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.setTransform(scale, 0, 0, scale, -left * scale, 0);
  SCENES[frame.scene.name](context, paint, frame);
}
