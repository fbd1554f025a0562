/** Files that are no image this page reads, by their first bytes: what they are and what to do, as cct_viz/images/kinds.py. */

import { type Problem, problem, type ProblemKey } from "../core/problem.ts";

/** First bytes -> the text about the kind. */
const FIRST: readonly (readonly [string, ProblemKey])[] = [
  ["II*\0", "kind.tiff"],
  ["MM\0*", "kind.tiff"],
  ["II+\0", "kind.tiff"],
  ["MM\0+", "kind.tiff"],
  ["\0\0\0\x0cjP  \r\n\x87\n", "kind.jpeg2000"],
  ["\xff\x4f\xff\x51", "kind.jpeg2000"],
  ["\0\0\0\x0cJXL \r\n\x87\n", "kind.jpegxl"],
  ["\xff\x0a", "kind.jpegxl"],
  ["%PDF", "kind.pdf"],
  ["<svg", "kind.svg"],
  ["8BPS", "kind.photoshop"],
  ["PK\x03\x04", "kind.zip"],
  ["\0\0\x01\0", "kind.icon"],
];
const HEIC = ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"];
const TGA_FOOTER = "TRUEVISION-XFILE.\0";

export const startsWith = (bytes: Uint8Array, text: string): boolean =>
  [...text].every((letter, i) => bytes[i] === letter.charCodeAt(0));

/** The four letters at a place. */
export const lettersAt = (bytes: Uint8Array, at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));

/** "a TIFF image: save it as PNG or JPEG"; null for a file of no known kind. */
export function describeKind(bytes: Uint8Array): Problem | null {
  const key = FIRST.find(([first]) => startsWith(bytes, first))?.[1] ?? otherKind(bytes);
  return key && problem(key);
}

function otherKind(bytes: Uint8Array): ProblemKey | null {
  if (lettersAt(bytes, 4) === "ftyp") return HEIC.includes(lettersAt(bytes, 8)) ? "kind.heic" : "kind.video";
  if (/^P[1-7]\s/.test(lettersAt(bytes, 0))) return "kind.ppm";
  if (lettersAt(bytes, 128) === "DICM") return "kind.dicom";
  return startsWith(bytes.subarray(-TGA_FOOTER.length), TGA_FOOTER) ? "kind.tga" : null;
}
