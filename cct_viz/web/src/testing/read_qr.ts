// Reads QR codes as a phone does.

import jsQR from "jsqr";
import type { Modules } from "../qr/code.ts";

/** What a code says, by a decoder that knows nothing of our encoder; undefined where it reads nothing. */
export function readQr(modules: Modules): string | undefined {
  const [scale, quiet] = [3, 4],
    side = scale * (modules.length + 2 * quiet),
    pixels = new Uint8ClampedArray(4 * side * side).fill(255);
  modules.forEach((row, y) =>
    row.forEach((dark, x) => {
      if (!dark) return;
      for (let dy = 0; dy < scale; dy++)
        for (let dx = 0; dx < scale; dx++) {
          const at = 4 * ((scale * (y + quiet) + dy) * side + scale * (x + quiet) + dx);
          pixels.fill(0, at, at + 3);
        }
    }),
  );
  // CommonJS: a bundler gives the function, Node the module around it.
  const decode = (typeof jsQR === "function" ? jsQR : (jsQR as { default: typeof jsQR }).default) as typeof jsQR;
  return decode(pixels, side, side)?.data;
}
