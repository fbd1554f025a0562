// Colour ramps of maps: 256 steps each, in both themes. Signed values diverge from the middle, shares start at nothing.

export type Ramp = "share" | "signed" | "neutral";

const STOPS: Record<Ramp, { light: readonly string[]; dark: readonly string[] }> = {
  share: { light: ["f2efe7", "b9a4ec", "6440cc", "33197d"], dark: ["212328", "5a4aa0", "b39dff", "f0eaff"] },
  signed: {
    light: ["2f4a61", "7d96ab", "f2efe7", "e08a5c", "b0370a"],
    dark: ["b4d2ef", "5f7a95", "212328", "a8552f", "ff9a6a"],
  },
  neutral: { light: ["fcfbf8", "8f93a0", "262c40"], dark: ["181a1e", "8a8984", "ece8dc"] },
};

const STEPS = 256;
const parse = (hex: string): number[] => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));

function build(stops: readonly string[]): Uint8ClampedArray {
  const colours = stops.map(parse);
  const table = new Uint8ClampedArray(3 * STEPS);
  for (let i = 0; i < STEPS; i++) {
    const at = (i / (STEPS - 1)) * (colours.length - 1);
    const low = Math.min(colours.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++)
      table[3 * i + c] = colours[low][c] + (at - low) * (colours[low + 1][c] - colours[low][c]);
  }
  return table;
}

const tables = new Map<string, Uint8ClampedArray>();

/** (256, 3) red, green, blue. */
export function tableOf(ramp: Ramp, dark: boolean): Uint8ClampedArray {
  const name = `${ramp} ${dark}`;
  let table = tables.get(name);
  if (!table) tables.set(name, (table = build(STOPS[ramp][dark ? "dark" : "light"])));
  return table;
}

/** The ramp as a CSS gradient from left to right. */
export const gradientOf = (ramp: Ramp, dark: boolean): string =>
  `linear-gradient(90deg, ${STOPS[ramp][dark ? "dark" : "light"].map((hex) => `#${hex}`).join(", ")})`;

/** The step of a value whose full colour is at `limit`: 0 to 255; a signed ramp has 0 in its middle. */
export function stepOf(value: number, limit: number, ramp: Ramp): number {
  const part = limit > 0 ? value / limit : 0;
  const at = ramp === "signed" ? (part + 1) / 2 : part;
  return Math.max(0, Math.min(STEPS - 1, Math.round((STEPS - 1) * at)));
}

/** Paint values as opaque pixels, one each. */
export function paint(
  image: ImageData,
  values: ArrayLike<number>,
  limit: number,
  ramp: Ramp,
  dark: boolean,
): ImageData {
  const table = tableOf(ramp, dark);
  for (let i = 0; i < values.length; i++) {
    const from = 3 * stepOf(values[i], limit, ramp);
    image.data.set([table[from], table[from + 1], table[from + 2], 255], 4 * i);
  }
  return image;
}
