/**
 * A safetensors file, opened: eight bytes of length, a JSON header, then the arrays. The format is described at
 * https://github.com/huggingface/safetensors.
 */

import { sizeOf, widen } from "../core/arrays.ts";
import { problem } from "../core/problem.ts";

/** `values` in row-major order. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type Weights = ReadonlyMap<string, Tensor>;

interface Entry {
  readonly dtype?: unknown;
  readonly shape?: unknown;
  readonly data_offsets?: unknown;
}

const BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2 };
const MOST_PROBLEMS = 4; // told one by one; the rest are counted

/**
 * The arrays of a file, checked to be those of `expected` and finite; float16 comes as float32. float32 arrays stay in
 * the buffer.
 * @param expected name -> shape
 * @throws {Error} the file is damaged or holds other arrays
 */
export function readWeights(buffer: ArrayBuffer, expected: ReadonlyMap<string, readonly number[]>): Weights {
  const { entries, data } = readHeader(buffer);
  const problems = [...expected.keys()].filter((name) => !entries.has(name)).map((name) => `${name} is missing`);
  const weights = new Map<string, Tensor>();
  for (const [name, entry] of entries) {
    const shape = expected.get(name);
    if (!shape) problems.push(`${name} is not part of the model`);
    else if (typeof entry?.dtype !== "string" || !Object.hasOwn(BYTES, entry.dtype)) {
      problems.push(`${name} is ${entry?.dtype}, expected F32 or F16`);
    } else if (String(entry.shape) !== String(shape)) {
      problems.push(`${name} has shape (${entry.shape}), expected (${shape})`);
    } else {
      const values = readArray(buffer, data, shape, entry.dtype, entry.data_offsets);
      if (areFinite(values)) weights.set(name, { shape, values });
      else problems.push(`${name} has values that are not finite`);
    }
  }
  if (problems.length) throw problem("weights.unfit", { problems: inWords(problems) });
  return weights;
}

function inWords(problems: readonly string[]): string {
  const more = problems.length > MOST_PROBLEMS ? `; and ${problems.length - MOST_PROBLEMS} more` : "";
  return problems.slice(0, MOST_PROBLEMS).join("; ") + more;
}

/** The header's entries by name, and where in the buffer the arrays begin. */
function readHeader(buffer: ArrayBuffer): { entries: Map<string, Entry | null>; data: number } {
  if (buffer.byteLength < 8) throw problem("weights.damaged");
  const data = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  if (data > buffer.byteLength) throw problem("weights.damaged");
  try {
    const header: Record<string, Entry | null> = JSON.parse(
      new TextDecoder().decode(new Uint8Array(buffer, 8, data - 8)),
    );
    return { entries: new Map(Object.entries(header).filter(([name]) => name !== "__metadata__")), data };
  } catch {
    throw problem("weights.damaged");
  }
}

function readArray(
  buffer: ArrayBuffer,
  data: number,
  shape: readonly number[],
  dtype: string,
  offsets: unknown,
): Float32Array {
  const count = sizeOf(shape);
  const size = BYTES[dtype];
  const [from, to] = Array.isArray(offsets) ? offsets : [];
  if (!Number.isInteger(from) || from < 0 || to - from !== count * size || data + to > buffer.byteLength) {
    throw problem("weights.damaged");
  }
  // A typed array can only begin at a multiple of its entries' size; elsewhere its bytes are copied.
  const aligned = (data + from) % size === 0;
  const bytes = aligned ? buffer : buffer.slice(data + from, data + to);
  const start = aligned ? data + from : 0;
  return dtype === "F32" ? new Float32Array(bytes, start, count) : widen(new Uint16Array(bytes, start, count));
}

function areFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}
