/** Files of weights, made in a test. */

export type Arrays = Record<string, { dtype: string; shape: number[]; bytes: ArrayBuffer }>;

/** A safetensors file. */
export function save(arrays: Arrays): ArrayBuffer {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let at = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(arrays)) {
    header[name] = { dtype, shape, data_offsets: [at, (at += bytes.byteLength)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  let to = 8 + text.length;
  for (const { bytes } of Object.values(arrays)) {
    file.set(new Uint8Array(bytes), to);
    to += bytes.byteLength;
  }
  return file.buffer;
}

/** An array of one float32 value. */
export const floats = (shape: number[], value = 1) => ({
  dtype: "F32",
  shape,
  bytes: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value).buffer,
});

/** The same file with every float32 array rounded to float16. */
export function halfPrecision(file: ArrayBuffer): ArrayBuffer {
  const data = 8 + Number(new DataView(file).getBigUint64(0, true));
  const { __metadata__, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, data - 8)));
  const arrays: Arrays = {};
  for (const [name, entry] of Object.entries(entries as Record<string, { shape: number[]; data_offsets: number[] }>)) {
    const [from, to] = entry.data_offsets;
    const values = new Float32Array(file.slice(data + from, data + to));
    arrays[name] = { dtype: "F16", shape: entry.shape, bytes: Uint16Array.from(values, toHalf).buffer };
  }
  return save(arrays);
}

/** The bits of the nearest float16, halves to even, as NumPy rounds. For values below 65504. */
function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -24)));
  const steps = roundHalfEven(size / 2 ** (exponent - 10)); // a step too high carries into the exponent
  return sign | (steps + (exponent === -14 ? 0 : (exponent + 14) * 1024));
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}
