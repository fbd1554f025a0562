// Numbers as people read them: a minus that is one, a sign where it matters, units after a no-break space.

export const MINUS = "\u2212";
const SPACE = "\u00a0";

/** 1.5 -> "+1.50"; no sign where it rounds to 0. */
export function signed(value: number, digits = 2): string {
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value > 0 ? "+" : MINUS) + size;
}

/** A number with so many significant digits: -0.123 -> "−0.123". */
export const number = (value: number, digits = 3): string =>
  Number(value.toPrecision(digits)).toString().replace("-", MINUS);

/** 0.974 -> "97.4 %"; two digits below 0.1 %. */
export function percent(share: number, digits = share > 0 && share < 0.001 ? 2 : 1): string {
  return `${(100 * share).toFixed(digits)}${SPACE}%`;
}

/** The end of a scale, which is not rounded to 0: 0.00832 -> "+0.0083". */
export function scaleEnd(value: number): string {
  const digits = value ? Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(value))))) : 2;
  return signed(value, digits);
}

/** 284330 -> "284 k", 3.7e6 -> "3.7 M". */
export function count(value: number): string {
  if (value < 1e3) return `${value}`;
  const [size, unit] = value < 1e6 ? [value / 1e3, "k"] : value < 1e9 ? [value / 1e6, "M"] : [value / 1e9, "G"];
  return `${size < 10 ? size.toFixed(1) : size.toFixed(0)}${SPACE}${unit}`;
}

/** 1.2e-7 -> "1e-7". */
export const scientific = (value: number): string => (value === 0 ? "0" : value.toExponential(0).replace("e+", "e"));
