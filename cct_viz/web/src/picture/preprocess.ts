/**
 * The centre crop and the resize of cct_viz/images/preprocessing.py, to the grey level: Pillow's antialiased resize,
 * which weighs in fixed point, first along rows, then along columns, with eight bits in between.
 */

import type { Interpolation } from "../model/config.ts";

interface Filter {
  /** The weight of a source pixel by its distance in target pixels. */
  readonly weigh: (x: number) => number;
  /** How far it reaches. */
  readonly support: number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

const FILTERS: Readonly<Record<Interpolation, Filter>> = {
  box: { weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0), support: 0.5 },
  bilinear: { weigh: (x) => Math.max(0, 1 - Math.abs(x)), support: 1 },
  bicubic: { weigh: bicubic, support: 2 },
  lanczos: { weigh: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0), support: 3 },
};

/** Keys's cubic convolution with a = -0.5. */
function bicubic(x: number): number {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * -0.5 : 0;
}

/** Bits of a weight's fraction: 32, less 8 of the pixel and 2 for sums beyond 1. */
const BITS = 22;
/** Rows that are read from a large picture at a time. */
const STRIP = 256;

/** y0 x0 y1 x1, end exclusive. */
export type Crop = readonly [number, number, number, number];
/** Height and width. */
export type Size = readonly [number, number];

/**
 * The largest crop in the middle that has the model's aspect ratio, times `share`; an odd pixel left over stays at the
 * bottom or on the right.
 */
export function centreCrop(original: Size, size: Size, share: number): Crop {
  const scale = share * Math.min(original[0] / size[0], original[1] / size[1]);
  const side = (axis: 0 | 1) => Math.min(original[axis], Math.max(1, Math.floor(scale * size[axis] + 0.5)));
  const height = side(0);
  const width = side(1);
  const y = Math.floor((original[0] - height) / 2);
  const x = Math.floor((original[1] - width) / 2);
  return [y, x, y + height, x + width];
}

/** Pixels to read from: RGBA values of a range of rows. */
export interface Source {
  readonly height: number;
  readonly width: number;
  readonly read: (from: number, to: number) => Uint8ClampedArray;
}

/** (height, width, 3) of `size`. */
export function resize(
  { height, width, read }: Source,
  [outHeight, outWidth]: Size,
  filter: Interpolation,
): Uint8Array {
  const narrow = new Uint8ClampedArray(height * outWidth * 3);
  const across = weigh(width, outWidth, filter);
  for (let top = 0; top < height; top += STRIP) {
    const bottom = Math.min(height, top + STRIP);
    const rgba = read(top, bottom);
    for (let y = top; y < bottom; y++) {
      for (let x = 0; x < outWidth; x++) {
        mix(rgba, (y - top) * width * 4, 4, across[x], narrow, (y * outWidth + x) * 3);
      }
    }
  }
  const out = new Uint8ClampedArray(outHeight * outWidth * 3);
  const down = weigh(height, outHeight, filter);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) mix(narrow, x * 3, outWidth * 3, down[y], out, (y * outWidth + x) * 3);
  }
  return new Uint8Array(out.buffer);
}

/** The first source pixel that counts, and the weights from there on. */
interface Weighing {
  readonly first: number;
  readonly weights: Int32Array;
}

/** For each target pixel along an axis. */
function weigh(length: number, outLength: number, name: Interpolation): Weighing[] {
  const { weigh: filter, support: reach } = FILTERS[name];
  const scale = length / outLength;
  const stretch = Math.max(1, scale);
  const support = reach * stretch;
  return Array.from({ length: outLength }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(length, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: end - first }, (_, j) => filter((first + j - centre + 0.5) * (1 / stretch)));
    const total = weights.reduce((a, b) => a + b, 0) || 1;
    const inFixedPoint = (weight: number) => Math.trunc((weight / total) * 2 ** BITS + (weight < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(weights, inFixedPoint) };
  });
}

/**
 * One RGB pixel: weighted sums of source pixels `step` values apart, rounded; a clamped array holds them to 0..255. In
 * whole numbers of 32 bits, as Pillow: a large photo has 100 million of these products.
 */
function mix(
  source: Uint8ClampedArray,
  start: number,
  step: number,
  { first, weights }: Weighing,
  out: Uint8ClampedArray,
  to: number,
): void {
  let red = 2 ** (BITS - 1);
  let green = red;
  let blue = red;
  for (let j = 0, at = start + first * step; j < weights.length; j++, at += step) {
    const weight = weights[j];
    red = (red + Math.imul(source[at], weight)) | 0;
    green = (green + Math.imul(source[at + 1], weight)) | 0;
    blue = (blue + Math.imul(source[at + 2], weight)) | 0;
  }
  out[to] = red >> BITS;
  out[to + 1] = green >> BITS;
  out[to + 2] = blue >> BITS;
}

/**
 * RGBA values with every colour replaced by its luma, in place, as Pillow's mode "L" weighs and rounds it (ITU-R
 * 601-2).
 */
export function makeGrey(rgba: Uint8ClampedArray): Uint8ClampedArray {
  for (let at = 0; at < rgba.length; at += 4) {
    const luma = (rgba[at] * 19595 + rgba[at + 1] * 38470 + rgba[at + 2] * 7471 + 0x8000) >> 16;
    rgba.fill(luma, at, at + 3);
  }
  return rgba;
}
