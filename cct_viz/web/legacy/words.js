// Numbers and sentences as people read them.

import { extent } from "./maths.js";

export const MINUS = "\u2212", TIMES = "\u00d7";
const minus = (text) => text.replace("-", MINUS);

/** 1.5 -> "+1.50", with its sign unless it rounds to 0. */
export function signed(value, digits = 2) {
  const size = Math.abs(value).toFixed(digits);
  return (Number(size) === 0 ? "" : value > 0 ? "+" : MINUS) + size;
}
/** 0.00832 -> "+0.0083": the end of a scale, which must not be rounded to nothing. */
export const scaleEnd = (value) => signed(value, value ? Math.min(9, Math.max(2, 1 - Math.floor(Math.log10(Math.abs(value))))) : 2);
export const number = (value, digits = 3) => minus(Number(value.toPrecision(digits)).toString());
export const percent = (value) => `${(100 * value).toFixed(value > 0 && value < 0.001 ? 2 : 1)} %`;
/** 1.2e-7 -> "1e-7". */
export const scientific = (value) => (value === 0 ? "0" : value.toExponential(0).replace("e+", "e"));
/** A share in multiples of what each of n tokens would have if all had the same. */
export const times = (share, n) => `${(share * n).toFixed(share * n < 10 ? 2 : 1)}${TIMES} uniform`;
export const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** "cat over dog", "cat over the mean class", or "cat" alone where classes do not compete; labels up to `most` letters. */
export function comparison({ labels, exclusive }, { a, b }, most = Infinity) {
  if (b === null && !exclusive) return shorten(labels[a], most);
  return `${shorten(labels[a], most)} over ${b === null ? "the mean class" : shorten(labels[b], most)}`;
}

/** "row 6, column 4" of token t, counted from 1. */
export const place = (token, columns) => `row ${Math.floor(token / columns) + 1}, column ${(token % columns) + 1}`;

const SUMMING = 1e-4; // logits by which the same weights may differ here and in Python

/** The model in a page has rounded weights; a picture that came with the page has the scores of the exact ones. */
export function ofRounding(data, logits) {
  const error = extent(logits.map((v, c) => v - data.logits[c]));
  if (error < SUMMING) return "";
  return `The weights in this page are rounded to 16 bits, which changes the scores of this picture by up to ${error.toPrecision(1)} logits.`;
}
