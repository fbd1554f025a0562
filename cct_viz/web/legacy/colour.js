// Colours: perceptual maps for shares, one that diverges from white for signed values. None is ever stretched silently.

// Matplotlib's viridis and inferno at nine equal steps (CC0); blue, white and orange as in cct_viz/reports/figures.py.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"];
const INFERNO = ["000004", "210c4a", "57106e", "8a226a", "bc3754", "e45a31", "f98e09", "f9cb35", "fcffa4"];
const DIVERGING = ["08519c", "2b7bba", "92c5de", "f7f7f7", "fdb863", "d9730d", "9a3d00"];

const parse = (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));

/** 256 colours between the given ones: Uint8Array (256 * 3). */
function table(steps) {
  const colours = steps.map(parse), made = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (colours.length - 1), low = Math.min(colours.length - 2, Math.floor(at)), part = at - low;
    for (let c = 0; c < 3; c++) made[3 * i + c] = Math.round(colours[low][c] + part * (colours[low + 1][c] - colours[low][c]));
  }
  return made;
}

/** @typedef {{table: Uint8Array, signed: boolean, css: string}} ColourMap */
const colourMap = (steps, signed) => ({ table: table(steps), signed, css: steps.map((s) => "#" + s).join(", ") });

export const WEIGHT = colourMap(VIRIDIS, false);
export const PHOTO = colourMap(INFERNO, false);
export const SIGNED = colourMap(DIVERGING, true);

/** Place of a value in a colour table: 0 to 255. */
export function place(value, limit, map) {
  const part = limit > 0 ? value / limit : 0;
  const at = map.signed ? (part + 1) / 2 : part;
  return Math.max(0, Math.min(255, Math.round(255 * at)));
}

/** Paint values as pixels, one each, opaque. @param {ImageData} image */
export function paint(image, values, limit, map) {
  const { data } = image;
  for (let i = 0; i < values.length; i++) {
    const from = 3 * place(values[i], limit, map);
    data[4 * i] = map.table[from]; data[4 * i + 1] = map.table[from + 1]; data[4 * i + 2] = map.table[from + 2]; data[4 * i + 3] = 255;
  }
  return image;
}
