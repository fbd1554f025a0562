// From a file, a camera or a canvas to what the model is given and what the page shows.

import { checkImage, damaged, readFile } from "./image_header.js";
import { drawPixels, paper } from "./pixels.js";
import { centreCrop, greyPicture, resize } from "./preprocess.js";

const SHOWN = 512; // pixels of the shown photo's longer side; one of up to WHOLE pixels is kept as it is
const WHOLE = 96;

/**
 * @param {Blob | ImageBitmapSource} source a file, or what a page draws: a canvas, a video, an image
 * @param {import("./config.js").Config} config
 * @returns {Promise<import("./trace.js").Picture>}
 */
export async function preparePicture(source, config) {
  const bitmap = await decode(source);
  try {
    return cut(bitmap, config);
  } finally {
    bitmap.close();
  }
}

/** The picture, which comes upright. Colour profiles are ignored, as in training: the model knows pixels as files store them. */
async function decode(source) {
  const name = source.name || "The picture";
  if (source instanceof Blob) checkImage(await readFile(source, name), name);
  try {
    return await createImageBitmap(source, { colorSpaceConversion: "none" });
  } catch {
    throw damaged(name);
  }
}

function cut(bitmap, config) {
  const isGrey = config.channels === 1, original = [bitmap.height, bitmap.width], { interpolation, crop: share } = config.preprocessing;
  const crop = centreCrop(original, config.image_size, share), [y0, x0, y1, x1] = crop, height = y1 - y0, width = x1 - x0;
  const read = (from, to) => {
    const context = paper(to - from, width);
    context.drawImage(bitmap, x0, y0 + from, width, to - from, 0, 0, width, to - from);
    const { data } = context.getImageData(0, 0, width, to - from);
    return isGrey ? greyPicture(data) : data;
  };
  const pixels = resize({ height, width, read }, config.image_size, interpolation);
  return { pixels, pixelsAddress: addressOf(pixels, config.image_size), photo: shown(bitmap, crop, isGrey), original, crop };
}

function shown(bitmap, [y0, x0, y1, x1], isGrey) {
  const side = Math.max(y1 - y0, x1 - x0), scale = side > WHOLE ? Math.min(1, SHOWN / side) : 1;
  const [height, width] = [y1 - y0, x1 - x0].map((length) => Math.max(1, Math.round(length * scale)));
  const context = paper(height, width);
  context.drawImage(bitmap, x0, y0, x1 - x0, y1 - y0, 0, 0, width, height);
  if (isGrey) {
    const image = context.getImageData(0, 0, width, height);
    greyPicture(image.data);
    context.putImageData(image, 0, 0);
  }
  return side > WHOLE ? context.canvas.toDataURL("image/jpeg", 0.9) : context.canvas.toDataURL();
}

function addressOf(pixels, [height, width]) {
  const context = paper(height, width);
  drawPixels(context, pixels);
  return context.canvas.toDataURL();
}
