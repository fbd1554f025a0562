// The centre crop and the resize of cct_viz/images/preprocessing.py, to the grey level: Pillow's antialiased resize, which
// weighs in fixed point, first along rows, then along columns, with eight bits in between.

/** [the filter, how far it reaches]: the weight of a source pixel by its distance, in target pixels. */
const FILTERS = {
  box: [(x) => (x > -0.5 && x <= 0.5 ? 1 : 0), 0.5],
  bilinear: [(x) => Math.max(0, 1 - Math.abs(x)), 1],
  bicubic: [bicubic, 2],
  lanczos: [(x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0), 3],
};

const BITS = 22; // of a weight's fraction: 32 bits less 8 of the pixel and 2 for sums beyond 1
const STRIP = 256; // rows read from a large picture at a time

function bicubic(x) {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * -0.5 : 0;
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/**
 * The largest crop in the middle that has the model's aspect ratio, times `share`; an odd pixel left over stays at the
 * bottom or on the right.
 * @param {[number, number]} original (height, width) @param {[number, number]} size the model's @param {number} share
 * @returns {[number, number, number, number]} y0 x0 y1 x1, end exclusive
 */
export function centreCrop(original, size, share) {
  const scale = share * Math.min(original[0] / size[0], original[1] / size[1]);
  const [height, width] = original.map((side, axis) => Math.min(side, Math.max(1, Math.floor(scale * size[axis] + 0.5))));
  const y = Math.floor((original[0] - height) / 2), x = Math.floor((original[1] - width) / 2);
  return [y, x, y + height, x + width];
}

/**
 * @param {object} source
 * @param {number} source.height @param {number} source.width
 * @param {(from: number, to: number) => ArrayLike<number>} source.read the RGBA values of a range of its rows
 * @param {[number, number]} size (height, width) @param {keyof FILTERS} filter
 * @returns {Uint8Array} (height, width, 3)
 */
export function resize({ height, width, read }, [outHeight, outWidth], filter) {
  const narrow = new Uint8Array(height * outWidth * 3), across = weigh(width, outWidth, filter);
  for (let top = 0; top < height; top += STRIP) {
    const bottom = Math.min(height, top + STRIP), rgba = read(top, bottom);
    for (let y = top; y < bottom; y++) {
      for (let x = 0; x < outWidth; x++) mix(rgba, (y - top) * width * 4, 4, across[x], narrow, (y * outWidth + x) * 3);
    }
  }
  const out = new Uint8Array(outHeight * outWidth * 3), down = weigh(height, outHeight, filter);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) mix(narrow, x * 3, outWidth * 3, down[y], out, (y * outWidth + x) * 3);
  }
  return out;
}

/** (H, W) grey levels of pixels (H, W, 3), as Pillow's mode "L" has them: ITU-R 601-2, in fixed point. */
export function luminance(pixels) {
  const grey = new Uint8Array(pixels.length / 3);
  for (let cell = 0, at = 0; cell < grey.length; cell++, at += 3) grey[cell] = greyOf(pixels[at], pixels[at + 1], pixels[at + 2]);
  return grey;
}

/** RGBA values with the luminance in all three colours, in place. */
export function greyPicture(rgba) {
  for (let at = 0; at < rgba.length; at += 4) rgba[at] = rgba[at + 1] = rgba[at + 2] = greyOf(rgba[at], rgba[at + 1], rgba[at + 2]);
  return rgba;
}

const greyOf = (red, green, blue) => (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;

/** For each target pixel along an axis, the first source pixel that counts and the weights from there on. */
function weigh(length, outLength, name) {
  const [filter, reach] = FILTERS[name], scale = length / outLength, stretch = Math.max(1, scale), support = reach * stretch;
  return Array.from({ length: outLength }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5)), end = Math.min(length, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, j) => filter((first + j - centre + 0.5) * (1 / stretch)));
    const total = weights.reduce((a, b) => a + b, 0);
    const share = (weight) => Math.trunc((weight / (total || 1)) * 2 ** BITS + (weight < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(weights, share) };
  });
}

/** One RGB pixel: weighted sums of source pixels `step` values apart, rounded and held to 0..255. */
function mix(source, start, step, { first, weights }, out, to) {
  let red = 2 ** (BITS - 1), green = red, blue = red;
  for (let j = 0, at = start + first * step; j < weights.length; j++, at += step) {
    const weight = weights[j];
    red += source[at] * weight; green += source[at + 1] * weight; blue += source[at + 2] * weight;
  }
  out[to] = clip(red >> BITS); out[to + 1] = clip(green >> BITS); out[to + 2] = clip(blue >> BITS);
}

const clip = (level) => Math.min(255, Math.max(0, level));
