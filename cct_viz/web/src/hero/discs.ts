// Discs on the photo whose area is what each token's patch counts.

import { attentionRow } from "./attention.ts";
import type { Scene } from "./scene.ts";

/** "weight": attention of the class token, which is no contribution. */
export type DiscKind = "for" | "against" | "weight";

export interface Disc {
  readonly token: number;
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly kind: DiscKind;
}

/** Below this radius, in pixels, a disc is not drawn. */
const LEAST = 0.6;

/**
 * The contribution of each token to the explained class; with a class token, the attention that it pays to each token in
 * the last layer. The largest disc fills its patch to 92 %.
 */
export function discsOf({ layout, trace, boxes, pooling, head }: Scene): Disc[] {
  const [height, width] = trace.config.imageSize,
    kx = layout.photo.width / width,
    ky = layout.photo.height / height,
    values = pooling?.contributions ?? attentionRow(trace, trace.config.numLayers - 1, head, 0).slice(1),
    largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return boxes
    .map(([y0, x0, y1, x1], t) => {
      const value = values[t] ?? 0,
        kind: DiscKind = !pooling ? "weight" : value < 0 ? "against" : "for";
      return {
        token: t,
        x: layout.photo.x + ((x0 + x1) / 2) * kx,
        y: layout.photo.y + ((y0 + y1) / 2) * ky,
        radius: Math.sqrt(Math.abs(value) / largest) * 0.46 * Math.min((x1 - x0) * kx, (y1 - y0) * ky),
        kind,
      };
    })
    .filter(({ radius }) => radius >= LEAST);
}
