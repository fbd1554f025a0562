// The patches leave the photo, pass their cell of the maps, and line up as tokens.

import { drawPatch } from "../hero/images.ts";
import type { Box } from "../hero/layout.ts";
import { within } from "../hero/path.ts";
import { toldUntil } from "../hero/stages.ts";
import { cover, type Context, type Paint } from "./paint.ts";
import { ease, part, type Frame } from "./scenes.ts";
import { at } from "./sheets.ts";

/** Tokens under way at a time, as a share of all. */
const ON_THE_WAY = 0.16;
const NAME = 96; // pixels

export function drawTokens(context: Context, paint: Paint, { share }: Frame): void {
  const { layout } = paint.drawn.scene,
    count = layout.tokens,
    flight = Math.max(2, Math.round(ON_THE_WAY * count)),
    front = share * (count + flight), // the last token that has set out
    landed = Math.floor(front - flight);
  // The class token has its name left of the column.
  if (layout.classToken) {
    const { x } = layout.tokenColumns[0];
    cover(context, paint.colours.paper, x - NAME, layout.top - 4, NAME, layout.rowHeight(0) + 8);
  }
  const done = settle(paint, Math.max(0, landed + 1));
  context.drawImage(done, 0, 0, done.width / paint.scale, done.height / paint.scale);
  for (let token = Math.max(0, landed + 1); token < Math.min(count, Math.ceil(front)); token++)
    drawOnItsWay(context, paint, token, part(front - token, 0, flight));
}

/** The tokens that have arrived, with the strands from their cells; only those that are new are drawn. */
function settle(paint: Paint, count: number): HTMLCanvasElement {
  const { settled, strands, drawn } = paint,
    { layout } = drawn.scene,
    { canvas } = settled,
    context = canvas.getContext("2d");
  if (!context) return canvas;
  const width = Math.round(toldUntil(layout, "tokens", 0) * paint.scale);
  if (canvas.width !== width || count < settled.count) {
    canvas.width = width; // which empties it
    canvas.height = Math.round(layout.height * paint.scale);
    context.scale(paint.scale, paint.scale);
    settled.count = 0;
  }
  const each = layout.tokens / strands.length;
  for (let token = settled.count; token < Math.min(count, layout.tokens); token++) {
    const strand = token % each === 0 ? strands[token / each] : undefined;
    if (strand) {
      context.globalAlpha = 0.5;
      context.fillStyle = strand.colour;
      context.fill(strand.path);
      context.globalAlpha = 1;
    }
    drawOnItsWay(context, paint, token, 1);
  }
  settled.count = Math.min(count, layout.tokens);
  return canvas;
}

const mix = (a: number, b: number, share: number): number => a + (b - a) * share;

/** A patch on its way: 0 in the photo, 1 in the column. */
function drawOnItsWay(context: Context, paint: Paint, token: number, way: number): void {
  const { drawn } = paint,
    { scene, photo, image } = drawn,
    { layout, boxes, trace } = scene,
    field = boxes[token],
    column = layout.tokenColumns[0];
  if (!image || !column || !field) return;
  const slot: Box = { x: column.x, y: layout.ty(token), width: column.width, height: layout.mark },
    from = within(layout.photo, field, trace.config.imageSize),
    first = ease(part(way, 0, 0.55)),
    second = ease(part(way, 0.55, 1)),
    middle = cellBox(paint, token),
    box = way < 0.55 ? between(from, middle, first) : between(middle, slot, second);
  context.imageSmoothingEnabled = photo.sharp;
  drawPatch(context, image, field, trace.config.imageSize, box, layout.mark / column.width, second);
}

const between = (a: Box, b: Box, share: number): Box => ({
  x: mix(a.x, b.x, share),
  y: mix(a.y, b.y, share),
  width: mix(a.width, b.width, share),
  height: mix(a.height, b.height, share),
});

/** The token's cell in the front map. */
function cellBox({ drawn, stages }: Paint, token: number): Box {
  const { rows, columns, sheets } = stages[stages.length - 1],
    front = sheets[sheets.length - 1],
    [x, y] = at(front, (token % columns) / columns, Math.floor(token / columns) / rows),
    size = Math.max(drawn.scene.layout.mark, front[3] / rows);
  return { x, y, width: front[0] / columns, height: size };
}
