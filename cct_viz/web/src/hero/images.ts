// Pictures made in the browser: bytes into addresses that an SVG image can show.

import type { FeatureMap } from "../model/trace.ts";
import type { Box, Layout } from "./layout.ts";
import { brightness, channelOf } from "./maps.ts";
import type { Rectangle } from "./patches.ts";

function canvasOf(width: number, height: number): [HTMLCanvasElement, CanvasRenderingContext2D] {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser draws no canvas");
  return [canvas, context];
}

/** A channel as a mask: the brighter the cell, the more opaque; so that one picture serves light and dark. */
export function channelAddress(map: FeatureMap, channel: number): string {
  const [canvas, context] = canvasOf(map.width, map.height),
    image = context.createImageData(map.width, map.height);
  brightness(channelOf(map, channel)).forEach((share, i) => (image.data[4 * i + 3] = Math.round(255 * share)));
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/** A channel in the colours of the neutral ramp, "#rrggbb" each, a pixel a cell. */
export function channelPicture(map: FeatureMap, channel: number, low: string, high: string): HTMLCanvasElement {
  const [canvas, context] = canvasOf(map.width, map.height);
  context.fillStyle = low;
  context.fillRect(0, 0, map.width, map.height);
  context.fillStyle = high;
  brightness(channelOf(map, channel)).forEach((share, i) => {
    context.globalAlpha = share;
    context.fillRect(i % map.width, Math.floor(i / map.width), 1, 1);
  });
  return canvas;
}

export function loadImage(address: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = address;
  return image.decode().then(() => image);
}

/**
 * A patch of the photo in a box: all of it, or of its height only the middle, to which it narrows.
 *
 * @param aspect height over width of the middle.
 * @param narrowed 0: all of the patch; 1: the middle alone.
 */
export function drawPatch(
  context: CanvasRenderingContext2D,
  photo: HTMLImageElement,
  [y0, x0, y1, x1]: Rectangle,
  [height, width]: readonly [number, number],
  box: Box,
  aspect: number,
  narrowed = 1,
): void {
  const kx = photo.naturalWidth / width,
    ky = photo.naturalHeight / height,
    whole = (y1 - y0) * ky,
    middle = Math.min(whole, (x1 - x0) * kx * aspect),
    shown = whole + (middle - whole) * narrowed,
    top = y0 * ky + (whole - shown) / 2;
  context.drawImage(photo, x0 * kx, top, (x1 - x0) * kx, shown, box.x, box.y, box.width, box.height);
}

/** The token column: of each patch a strip as wide as the column, one above the other. */
export function columnAddress(
  photo: HTMLImageElement,
  layout: Layout,
  boxes: readonly Rectangle[],
  imageSize: readonly [number, number],
  sharp: boolean,
): string {
  const scale = 2, // for screens with two pixels a CSS pixel
    column = layout.tokenColumns[0] ?? { x: 0, width: 1 },
    [canvas, context] = canvasOf(column.width * scale, (layout.bottom - layout.top) * scale);
  context.scale(scale, scale);
  context.imageSmoothingEnabled = sharp;
  boxes.forEach((patch, t) => {
    const box = { x: 0, y: layout.ty(t) - layout.top, width: column.width, height: layout.mark };
    drawPatch(context, photo, patch, imageSize, box, layout.mark / column.width);
  });
  return canvas.toDataURL();
}
