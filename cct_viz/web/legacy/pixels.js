// Pictures as pixels (H, W, 3), and the canvases that they are read from and drawn on.

/** The image at a data address, once it is there. @returns {Promise<HTMLImageElement>} */
export async function waitFor(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** The very pixels (H, W, 3) of a PNG at a data address. */
export async function readPixels(address) {
  const image = await waitFor(address), { naturalHeight: height, naturalWidth: width } = image;
  const context = paper(height, width);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height).data.filter((_, i) => i % 4 < 3);
}

/** Draw (H, W, 3) on a canvas of that size, one to one. */
export function drawPixels(context, pixels) {
  const { width, height } = context.canvas, image = context.createImageData(width, height);
  for (let cell = 0; cell < height * width; cell++) {
    for (let c = 0; c < 3; c++) image.data[4 * cell + c] = pixels[3 * cell + c];
    image.data[4 * cell + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A white canvas: transparent pixels lie over white. */
export function paper(height, width) {
  const canvas = Object.assign(document.createElement("canvas"), { height, width });
  const context = canvas.getContext("2d", { willReadFrequently: true }); // kept where it can be read exactly
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  return context;
}
