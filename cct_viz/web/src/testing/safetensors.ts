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
