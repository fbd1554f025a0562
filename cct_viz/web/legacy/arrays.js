// Arrays as they travel: {dtype, shape, data: base64 of little-endian values}; those made in the page are {shape, values}.

/** @typedef {{dtype: string, shape: number[], data: string} | {shape: number[], values: any}} Encoded */

const KINDS = { uint8: Uint8Array, int16: Int16Array, float16: Uint16Array, float32: Float32Array };

/** Value of every float16, looked up by its 16 bits. */
const HALVES = (() => {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? (fraction ? NaN : Infinity)
        : (1 + fraction / 1024) * 2 ** (exponent - 15);
    values[bits] = bits & 0x8000 ? -size : size;
  }
  return values;
})();

/** @param {Uint16Array} halves the bits of float16 numbers @returns {Float32Array} */
export function widen(halves) {
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = HALVES[halves[i]];
  return values;
}

/** @param {string} base64 @returns {Uint8Array} */
export function bytesOf(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** @param {Encoded | null} encoded @returns {any} a typed array, float16 widened to float32; null stays null */
export function decode(encoded) {
  if (!encoded) return null;
  if (encoded.values) return encoded.values;
  const values = new KINDS[encoded.dtype](bytesOf(encoded.data).buffer);
  const count = encoded.shape.reduce((a, b) => a * b, 1);
  if (values.length !== count) throw new Error(`an array has ${values.length} values; its shape ${encoded.shape} needs ${count}`);
  return encoded.dtype === "float16" ? widen(values) : values;
}
