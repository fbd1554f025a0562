// Discs whose area is the contribution of each token's patch.

import type { Scene } from "./scene.ts";

export interface Disc {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly positive: boolean;
}

/** Below this radius, in pixels, a disc is not drawn. */
const LEAST = 0.6;

/** The largest contribution fills its patch to 92 %; with a class token there are none. */
export function contributionDiscs({ layout, trace, boxes, pooling }: Scene): Disc[] {
  if (!pooling) return [];
  const [height, width] = trace.config.imageSize,
    kx = layout.photo.width / width,
    ky = layout.photo.height / height,
    largest = pooling.contributions.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return boxes
    .map(([y0, x0, y1, x1], t) => {
      const value = pooling.contributions[t] ?? 0;
      return {
        x: layout.photo.x + ((x0 + x1) / 2) * kx,
        y: layout.photo.y + ((y0 + y1) / 2) * ky,
        radius: Math.sqrt(Math.abs(value) / largest) * 0.46 * Math.min((x1 - x0) * kx, (y1 - y0) * ky),
        positive: value >= 0,
      };
    })
    .filter(({ radius }) => radius >= LEAST);
}
