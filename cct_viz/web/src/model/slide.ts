/** How windows slide along an axis, as in cct_viz/architecture/config.py. */

import type { ConvStage, PaddingRule } from "./config.ts";

export interface Slide {
  /** How many places the window takes. */
  readonly places: number;
  /** Zeros before the first cell. */
  readonly before: number;
}

/** A window of `size` along `length` cells, with `padding` zeros at both ends and those that `rule` adds. */
export function slide(length: number, size: number, stride: number, padding: number, rule: PaddingRule): Slide {
  const padded = length + 2 * padding;
  if (rule === "valid") return { places: Math.floor((padded - size) / stride) + 1, before: padding };
  const places = Math.ceil(padded / stride);
  return { places, before: padding + Math.floor(Math.max(0, (places - 1) * stride + size - padded) / 2) };
}

export const convSlide = (stage: ConvStage, length: number): Slide =>
  slide(length, stage.kernelSize, stage.stride, stage.padding, stage.convPadding);

export const poolSlide = (stage: ConvStage, length: number): Slide =>
  slide(length, stage.poolSize, stage.poolStride, stage.poolZeroPadding, stage.poolPadding);
