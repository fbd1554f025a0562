/** Arrays as they travel in JSON, and float16. */

import { problem } from "./problem.ts";

/** `data` is base64 of little-endian values in row-major order. */
export interface Encoded {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: string;
}

/** Value of every float16, looked up by its 16 bits. */
const HALVES = makeHalves();

function makeHalves(): Float32Array {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    let size = (1 + fraction / 1024) * 2 ** (exponent - 15);
    if (exponent === 0) size = fraction * 2 ** -24;
    if (exponent === 31) size = fraction ? NaN : Infinity;
    values[bits] = bits & 0x8000 ? -size : size;
  }
  return values;
}

/** The float32 values of float16 numbers, given as their bits. */
export function widen(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = HALVES[halves[i]];
  return values;
}

/** @throws {DOMException} the text is not base64 */
export function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The text that zlib made these bytes of. */
export const inflate = (bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();

/** How many values an array of this shape has. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const READERS = {
  float16: (buffer: ArrayBuffer) => widen(new Uint16Array(buffer)),
  float32: (buffer: ArrayBuffer) => new Float32Array(buffer),
  int16: (buffer: ArrayBuffer) => new Int16Array(buffer),
};

/**
 * The values of an encoded array; float16 comes as float32.
 * @throws {Error} the shape needs another number of values
 */
export function decode<D extends keyof typeof READERS>(
  encoded: Encoded,
  ...dtypes: D[]
): ReturnType<(typeof READERS)[D]> {
  const dtype = dtypes.find((name) => name === encoded.dtype);
  if (!dtype) throw problem("unknown", { what: "dtype", name: encoded.dtype, known: dtypes.join(", ") });
  const values = READERS[dtype](bytesOf(encoded.data).buffer);
  const expected = sizeOf(encoded.shape);
  if (values.length !== expected) {
    throw problem("array.size", { count: values.length, shape: encoded.shape.join(" x "), expected });
  }
  return values as ReturnType<(typeof READERS)[D]>;
}

/** An encoded array of floats. */
export const decodeFloats = (encoded: Encoded): Float32Array => decode(encoded, "float16", "float32");
