// Pixels as an image that a page can show.

const made = new WeakMap<Uint8Array, string>();

/** A data: address of pixels (H, W, 3); made once a picture. */
export function addressOf(pixels: Uint8Array, [height, width]: readonly [number, number]): string {
  let address = made.get(pixels);
  if (address) return address;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return "";
  const image = context.createImageData(width, height);
  for (let i = 0; i < height * width; i++)
    image.data.set([pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], 255], 4 * i);
  context.putImageData(image, 0, 0);
  address = canvas.toDataURL();
  made.set(pixels, address);
  return address;
}
