/** From a file, a camera or a canvas to what the model is given and what the page shows. */

import { problem } from "../core/problem.ts";
import type { Config } from "../model/config.ts";
import type { Picture } from "../model/trace.ts";
import { addressOf, paper } from "./canvas.ts";
import { checkImage, damaged, readFile } from "./header.ts";
import { centreCrop, type Crop, makeGrey, resize } from "./preprocess.ts";

/** Pixels of the shown photo's longer side: twice the page's largest, for sharp screens. */
const SHOWN = 1024;
/** A photo whose longer side has at most so many pixels is shown as it is, without loss. */
const WHOLE = 96;

/** A file, or what a page draws: a canvas, a video, an image. */
export type PictureSource = Blob | HTMLCanvasElement | HTMLVideoElement | HTMLImageElement | ImageBitmap;

/** @throws {Error} the file is no picture that a browser reads, or a huge one; the message says which */
export async function preparePicture(source: PictureSource, config: Config): Promise<Picture> {
  const bitmap = await decode(source);
  try {
    return cut(bitmap, config);
  } finally {
    bitmap.close();
  }
}

/** The picture, upright. Colour profiles are ignored, as in training: the model knows pixels as files store them. */
async function decode(source: PictureSource): Promise<ImageBitmap> {
  const name = source instanceof File && source.name ? source.name : problem("picture.name").message;
  if (source instanceof Blob) checkImage(await readFile(source, name), name);
  try {
    return await createImageBitmap(source, { colorSpaceConversion: "none" });
  } catch {
    throw damaged(name);
  }
}

function cut(bitmap: ImageBitmap, { imageSize, channels, preprocessing }: Config): Picture {
  const originalSize = [bitmap.height, bitmap.width] as const;
  const box = centreCrop(originalSize, imageSize, preprocessing.crop);
  const [y0, x0, y1, x1] = box;
  const width = x1 - x0;
  const read = (from: number, to: number) => {
    const context = paper([to - from, width]);
    context.drawImage(bitmap, x0, y0 + from, width, to - from, 0, 0, width, to - from);
    const { data } = context.getImageData(0, 0, width, to - from);
    return channels === 1 ? makeGrey(data) : data;
  };
  const pixels = resize({ height: y1 - y0, width, read }, imageSize, preprocessing.interpolation);
  return { pixels, image: { address: shown(bitmap, box) }, geometry: { originalSize, box } };
}

function shown(bitmap: ImageBitmap, [y0, x0, y1, x1]: Crop): string {
  const side = Math.max(y1 - y0, x1 - x0);
  const scale = side > WHOLE ? Math.min(1, SHOWN / side) : 1;
  const height = Math.max(1, Math.round((y1 - y0) * scale));
  const width = Math.max(1, Math.round((x1 - x0) * scale));
  const context = paper([height, width]);
  context.drawImage(bitmap, x0, y0, x1 - x0, y1 - y0, 0, 0, width, height);
  return side > WHOLE ? context.canvas.toDataURL("image/jpeg", 0.9) : context.canvas.toDataURL();
}

/** The picture with other pixels (H, W, 3), which are then shown as they are. */
export const withPixels = (picture: Picture, pixels: Uint8Array, config: Pick<Config, "imageSize">): Picture => ({
  ...picture,
  pixels,
  image: { address: addressOf(pixels, config.imageSize) },
});
