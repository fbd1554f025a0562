// The photo becomes pixels, a window slides over them and paints maps, and the cells become tokens.

import type { Box } from "../hero/layout.ts";
import { band, curve } from "../hero/shapes.ts";
import { cover, frameOn, kept, type Context, type Paint } from "./paint.ts";
import { cellAt, ease, part, type Frame } from "./scenes.ts";
import { at, type Matrix, type StageSheets } from "./sheets.ts";

const ROUND = 8; // pixels, as the drawing's pictures
const FINEST = 128; // pixels of the photo at which it starts to become coarse

/** The photo moves down and becomes as coarse as the model's input. */
export function drawPixels(context: Context, { drawn, colours, pixels }: Paint, { progress }: Frame): void {
  const { layout, trace } = drawn.scene,
    { photo, pixels: below, height } = layout;
  if (!below || !drawn.image) return;
  cover(context, colours.paper, -4, photo.y + photo.height + 2, photo.width + 8, height);
  const moved = ease(part(progress, 0.12, 0.5)),
    coarse = part(progress, 0.42, 0.85),
    y = photo.y + (below.y - photo.y) * moved;
  if (moved === 0) return;
  kept(context, () => {
    context.beginPath();
    context.roundRect(below.x, y, below.width, below.height, ROUND);
    context.clip();
    if (coarse === 1) {
      context.imageSmoothingEnabled = false;
      context.drawImage(pixels, below.x, y, below.width, below.height);
    } else drawCoarse(context, drawn.image as HTMLImageElement, { ...below, y }, coarse, trace.config.imageSize);
  });
}

let small: HTMLCanvasElement | null = null;

function drawCoarse(
  context: Context,
  image: HTMLImageElement,
  box: Box,
  share: number,
  [rows, columns]: readonly [number, number],
): void {
  const { x, y, width, height } = box;
  if (share === 0 || columns >= FINEST) return void context.drawImage(image, x, y, width, height);
  const wide = Math.round(FINEST * (columns / FINEST) ** share),
    high = Math.max(1, Math.round((wide * rows) / columns));
  small ??= document.createElement("canvas");
  small.width = wide;
  small.height = high;
  small.getContext("2d")?.drawImage(image, 0, 0, wide, high);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, wide, high, x, y, width, height);
}

/** A window slides over the pixels or maps; at each stop it paints one cell of each map. */
export function drawConvolution(context: Context, paint: Paint, { stage, share }: Frame): void {
  const { layout } = paint.drawn.scene,
    { paper } = paint.colours,
    current = paint.stages[stage],
    input = layout.pixels ?? layout.photo;
  if (stage === 0) cover(context, paper, -4, input.y + input.height + 2, input.width + 8, layout.height);
  const count = current.rows * current.columns,
    cell = cellAt(share, count),
    row = Math.floor(cell / current.columns),
    column = cell % current.columns;
  current.sheets.forEach((sheet, i) => paintSheet(context, paint, { sheet, map: paint.maps[stage][i], row, column }));
  if (share === 0 || share === 1) return;
  const corners = { u: column / current.columns, v: row / current.rows };
  drawWindow(context, paint, current, cell);
  const front = current.sheets.length - 1;
  current.sheets.forEach((sheet, i) => {
    const isStack = sheet[1] !== 0; // the front sheet alone is in view
    if (isStack && i < front) return;
    outlineCell(context, paint.colours.ink, sheet, corners, current);
  });
}

/** The painted part of a map, on an empty sheet. */
function paintSheet(
  context: Context,
  { colours }: Paint,
  { sheet, map, row, column }: { sheet: Matrix; map: HTMLCanvasElement; row: number; column: number },
): void {
  const { width, height } = map;
  kept(context, () => {
    context.transform(...sheet);
    cover(context, colours.paper, 0, 0, 1, 1);
    context.imageSmoothingEnabled = false;
    if (row) context.drawImage(map, 0, 0, width, row, 0, 0, 1, row / height);
    context.drawImage(map, 0, row, column + 1, 1, 0, row / height, (column + 1) / width, 1 / height);
  });
  kept(context, () => {
    const corners = [at(sheet, 0, 0), at(sheet, 1, 0), at(sheet, 1, 1), at(sheet, 0, 1)];
    context.beginPath();
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.strokeStyle = colours.soft;
    context.lineWidth = 0.8;
    context.stroke();
  });
}

function drawWindow(context: Context, { colours }: Paint, stage: StageSheets, cell: number): void {
  const [y0, x0, y1, x1] = stage.window(cell),
    v = Math.floor(cell / stage.columns) / stage.rows,
    isStack = stage.sheets.some((sheet) => sheet[1] !== 0),
    targets = isStack ? stage.sheets.slice(0, 1) : stage.sheets;
  for (const { x, y, width, height } of stage.sources) {
    const top = y + y0 * height,
      bottom = y + y1 * height;
    for (const sheet of targets) {
      const [left, high] = at(sheet, (cell % stage.columns) / stage.columns, v),
        low = high + sheet[3] / stage.rows,
        right = x + x1 * width;
      context.globalAlpha = 0.08;
      context.fillStyle = colours.ink;
      context.fill(new Path2D(band(right, top, bottom, left, high, low)));
      context.globalAlpha = 0.42;
      context.strokeStyle = colours.ink;
      context.lineWidth = 1;
      context.stroke(new Path2D(curve(right, top, left, high) + curve(right, bottom, left, low)));
      context.globalAlpha = 1;
    }
    frameOn(context, x + x0 * width, top, (x1 - x0) * width, bottom - top);
  }
}

function outlineCell(
  context: Context,
  colour: string,
  sheet: Matrix,
  { u, v }: { u: number; v: number },
  { rows, columns }: StageSheets,
): void {
  const corners = [at(sheet, u, v), at(sheet, u + 1 / columns, v), at(sheet, u + 1 / columns, v + 1 / rows)];
  corners.push(at(sheet, u, v + 1 / rows));
  context.beginPath();
  corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.stroke();
}
