// A model.safetensors file, opened: eight bytes of length, a JSON header, then the arrays. See
// https://github.com/huggingface/safetensors for the format.

import { widen } from "./arrays.js";

/** @typedef {{shape: number[], values: Float32Array}} Tensor */

const DAMAGED = "the weights file is cut short, damaged or no safetensors file; fetch it again";
const BYTES = new Map([["F32", 4], ["F16", 2]]);
const NAMED = 4; // problems told one by one

/**
 * The arrays of a file, checked to be those of `expected`, finite, float16 widened. float32 arrays stay in the buffer.
 * @param {ArrayBuffer} buffer @param {Map<string, number[]>} expected name -> shape
 * @returns {Map<string, Tensor>}
 */
export function readWeights(buffer, expected) {
  const { entries, data } = readHeader(buffer);
  const problems = [...expected.keys()].filter((name) => !entries.has(name)).map((name) => `${name} is missing`);
  const weights = new Map();
  for (const [name, entry] of entries) {
    const shape = expected.get(name);
    if (!shape) problems.push(`${name} is not part of the model`);
    else if (!BYTES.has(entry?.dtype)) problems.push(`${name} is ${entry?.dtype}, expected F32 or F16`);
    else if (String(entry.shape) !== String(shape)) problems.push(`${name} has shape (${entry.shape}), expected (${shape})`);
    else {
      const values = readArray(buffer, data, shape, entry);
      if (areFinite(values)) weights.set(name, { shape, values });
      else problems.push(`${name} has values that are not finite`);
    }
  }
  if (problems.length) {
    const more = problems.length > NAMED ? `; and ${problems.length - NAMED} more` : "";
    throw new Error(`the weights do not fit the configuration: ${problems.slice(0, NAMED).join("; ")}${more}`);
  }
  return weights;
}

/** The header's entries by name, and where in the buffer the arrays begin. */
function readHeader(buffer) {
  if (buffer.byteLength < 8) throw new Error(DAMAGED);
  const data = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  if (data > buffer.byteLength) throw new Error(DAMAGED);
  try {
    const { __metadata__, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, data - 8)));
    return { entries: new Map(Object.entries(entries)), data };
  } catch {
    throw new Error(DAMAGED);
  }
}

function readArray(buffer, data, shape, { dtype, data_offsets: offsets }) {
  const count = shape.reduce((a, b) => a * b, 1), size = BYTES.get(dtype), [from, to] = Array.isArray(offsets) ? offsets : [];
  if (!Number.isInteger(from) || from < 0 || to - from !== count * size || data + to > buffer.byteLength) throw new Error(DAMAGED);
  // A typed array can only begin at a multiple of its entries' size; elsewhere its bytes are copied.
  const [bytes, start] = (data + from) % size ? [buffer.slice(data + from, data + to), 0] : [buffer, data + from];
  return dtype === "F32" ? new Float32Array(bytes, start, count) : widen(new Uint16Array(bytes, start, count));
}

function areFinite(values) {
  let finite = true;
  for (let i = 0; i < values.length; i++) finite &&= Number.isFinite(values[i]);
  return finite;
}
