/**
 * Colour tables: perceptual ones for shares, one that diverges from white for signed values. They are never stretched
 * silently.
 */

// Matplotlib's inferno at nine equal steps (CC0); blue, white and orange as in cct_viz/reports/palette.py.
const INFERNO = ["000004", "210c4a", "57106e", "8a226a", "bc3754", "e45a31", "f98e09", "f9cb35", "fcffa4"];
const DIVERGING = ["08519c", "2b7bba", "92c5de", "f7f7f7", "fdb863", "d9730d", "9a3d00"];

export interface ColourMap {
  /** (256, 3) */
  readonly table: Uint8Array;
  /** Whether the middle stands for 0. */
  readonly signed: boolean;
  /** The stops of a CSS gradient. */
  readonly css: string;
}

/** A colour map that passes through `steps`, colours as six hexadecimal digits, at equal distances. */
export function colourMap(steps: readonly string[], signed: boolean): ColourMap {
  const colours = steps.map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  const table = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (colours.length - 1);
    const low = Math.min(colours.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++) {
      table[3 * i + c] = Math.round(colours[low][c] + (at - low) * (colours[low + 1][c] - colours[low][c]));
    }
  }
  return { table, signed, css: steps.map((step) => `#${step}`).join(", ") };
}

export const INFERNO_MAP = colourMap(INFERNO, false);
export const DIVERGING_MAP = colourMap(DIVERGING, true);

/** Place of a value in a colour table, 0 to 255; `limit` is the value at its end. */
export function place(value: number, limit: number, { signed }: ColourMap): number {
  const part = limit > 0 ? value / limit : 0;
  return Math.max(0, Math.min(255, Math.round(255 * (signed ? (part + 1) / 2 : part))));
}

/** RGBA of each value, opaque, written to `out`. */
export function paint(out: Uint8ClampedArray, values: ArrayLike<number>, limit: number, map: ColourMap): void {
  for (let i = 0; i < values.length; i++) {
    const from = 3 * place(values[i], limit, map);
    for (let c = 0; c < 3; c++) out[4 * i + c] = map.table[from + c];
    out[4 * i + 3] = 255;
  }
}
