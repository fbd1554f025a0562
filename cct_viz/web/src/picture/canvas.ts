/** Pixels (H, W, 3) and the canvases that they are read from and drawn on. */

import type { Size } from "./preprocess.ts";

/** A white canvas: transparent pixels lie over white. */
export function paper([height, width]: Size): CanvasRenderingContext2D {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true }); // kept where it can be read exactly
  if (!context) throw new Error("this browser draws on no canvas");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  return context;
}

/** Draws (H, W, 3) on a canvas of that size, one to one. */
export function drawPixels(context: CanvasRenderingContext2D, pixels: ArrayLike<number>): void {
  const { width, height } = context.canvas;
  const image = context.createImageData(width, height);
  for (let cell = 0; cell < height * width; cell++) {
    for (let c = 0; c < 3; c++) image.data[4 * cell + c] = pixels[3 * cell + c];
    image.data[4 * cell + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A data: address of a PNG with these pixels (H, W, 3). */
export function addressOf(pixels: ArrayLike<number>, size: Size): string {
  const context = paper(size);
  drawPixels(context, pixels);
  return context.canvas.toDataURL();
}

/** (H, W, 3): the very pixels of a PNG at a data: address. */
export async function readPixels(address: string): Promise<Uint8Array> {
  const image = new Image();
  image.src = address;
  await image.decode();
  const { naturalHeight: height, naturalWidth: width } = image;
  const context = paper([height, width]);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from(data.filter((_, i) => i % 4 < 3));
}
