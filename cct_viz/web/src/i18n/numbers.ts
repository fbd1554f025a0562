// Numbers as people read them in the page's language: its decimal mark, a minus that is one, a sign where it matters,
// units after the space that the language sets.

import { spoken, tagOf, type Language } from "./language.svelte.ts";

export const MINUS = "\u2212";
const SPACE = "\u00a0";

interface Format {
  readonly decimal: string;
  /** The percent sign with the space before it, if any. */
  readonly percent: string;
  readonly group: (value: number) => string;
}
const formats = new Map<Language, Format>();

function formatOf(language: Language): Format {
  const known = formats.get(language);
  if (known) return known;
  const parts = new Intl.NumberFormat(tagOf(language), { style: "percent", minimumFractionDigits: 1 }).formatToParts(
    0.5,
  );
  const decimal = parts.findIndex(({ type }) => type === "decimal"),
    after = parts.slice(decimal + 2).map(({ value }) => value);
  const { format } = new Intl.NumberFormat(tagOf(language));
  const made = {
    decimal: parts[decimal]?.value ?? ".",
    percent: language === "en" ? `${SPACE}%` : after.join(""), // as in ISO 31-0 and in this project's English
    group: format,
  };
  formats.set(language, made);
  return made;
}

/** Digits as JavaScript writes them, with the language's decimal mark and a true minus. */
const written = (digits: string): string => digits.replace(".", formatOf(spoken.language).decimal).replace("-", MINUS);

/** So many digits after the decimal mark: 2.5 -> "2.50". */
export const fixed = (value: number, digits: number): string => written(value.toFixed(digits));

/** So many significant digits, zeros too: 54.6 -> "54.60". */
export const precise = (value: number, digits: number): string => written(value.toPrecision(digits));

/** A number with so many significant digits: -0.123 -> "−0.123". */
export const number = (value: number, digits = 3): string => written(Number(value.toPrecision(digits)).toString());

/** A whole number with its thousands apart: 3072 -> "3,072". */
export const grouped = (value: number): string => formatOf(spoken.language).group(value);

/** 1.5 -> "+1.50"; no sign where it rounds to 0. */
export function signed(value: number, digits = 2): string {
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value > 0 ? "+" : MINUS) + written(size);
}

/** 0.974 -> "97.4 %"; two digits below 0.1 %. */
export const percent = (share: number, digits = share > 0 && share < 0.001 ? 2 : 1): string =>
  fixed(100 * share, digits) + formatOf(spoken.language).percent;

/** The end of a scale, which is not rounded to 0: 0.00832 -> "+0.0083". */
export function scaleEnd(value: number): string {
  const digits = value ? Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(value))))) : 2;
  return signed(value, digits);
}

/** 284330 -> "284 k", 3.7e6 -> "3.7 M". */
export function count(value: number): string {
  if (value < 1e3) return `${value}`;
  const [size, unit] = value < 1e6 ? [value / 1e3, "k"] : value < 1e9 ? [value / 1e6, "M"] : [value / 1e9, "G"];
  return `${fixed(size, size < 10 ? 1 : 0)}${SPACE}${unit}`;
}

/** 1.2e-7 -> "1e-7". */
export const scientific = (value: number): string => (value === 0 ? "0" : value.toExponential(0).replace("e+", "e"));

/** The ticks of an axis from none to all. */
export const shareTicks = (): [string, string, string] => [percent(0, 0), percent(0.5, 0), percent(1, 0)];
