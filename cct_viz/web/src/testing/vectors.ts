/** The vectors that Python wrote (tests/page_vectors.py), and how numbers are compared with them. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type { Picture, Trace } from "../model/trace.ts";
import type { Config } from "../model/config.ts";
import { type Engine, JAVASCRIPT } from "../model/engine.ts";
import { makeTrace } from "../model/make_trace.ts";
import { type Model, openModel } from "../model/model.ts";
import { createWasmEngine } from "../model/wasm_engine.ts";

const FOLDER = join(import.meta.dirname, "../../vectors");
/** Vectors that hold no model of their own. */
const OTHERS = ["bundled", "pictures"];

export const CASES: readonly string[] = readdirSync(FOLDER)
  .map((file) => file.replace(".safetensors", ""))
  .filter((name) => !OTHERS.includes(name));

/** What a model may compute with. */
export const ENGINES = {
  JavaScript: () => JAVASCRIPT,
  WebAssembly(config: Config): Engine {
    const engine = createWasmEngine(config);
    if (!engine) throw new Error("this Node has no WebAssembly with SIMD");
    return engine;
  },
};
export type EngineName = keyof typeof ENGINES;
export const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[];

const KINDS = {
  F32: Float32Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
} as const;

export interface Expected {
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array | Uint8Array;
}

export interface Vectors<About> {
  readonly arrays: ReadonlyMap<string, Expected>;
  /** An array that must be there. */
  readonly get: (name: string) => Expected;
  /** Names below a prefix, without it. */
  readonly below: (prefix: string) => string[];
  readonly about: About;
}

interface Header {
  readonly dtype: keyof typeof KINDS;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export function readVectors<About>(name: string): Vectors<About> {
  const bytes = readFileSync(join(FOLDER, `${name}.safetensors`));
  const data = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: metadata, ...entries } = JSON.parse(bytes.subarray(8, data).toString());
  const arrays = new Map<string, Expected>();
  for (const [key, { dtype, shape, data_offsets: offsets }] of Object.entries(entries as Record<string, Header>)) {
    const part = bytes.buffer.slice(bytes.byteOffset + data + offsets[0], bytes.byteOffset + data + offsets[1]);
    arrays.set(key, { shape, values: new KINDS[dtype](part) as Expected["values"] });
  }
  return {
    arrays,
    get(key) {
      const found = arrays.get(key);
      if (!found) throw new Error(`${name} has no ${key}`);
      return found;
    },
    below: (prefix) =>
      [...arrays.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    about: JSON.parse(metadata.json),
  };
}

export interface CaseAbout {
  /** The content of config.json. */
  readonly config: string;
  readonly payload: object;
  readonly paths: readonly string[];
  readonly parts: readonly string[];
}

export interface Case extends Vectors<CaseAbout> {
  readonly model: Model;
  readonly pixels: Uint8Array;
  readonly mask: Float32Array;
  readonly trace: Trace;
}

const kept = new Map<string, Case>();

/** A case with its model opened and its picture traced, once a test file. */
export function readCase(name: string, engine: EngineName = "JavaScript"): Case {
  const key = `${name} ${engine}`;
  const before = kept.get(key);
  if (before) return before;
  const vectors = readVectors<CaseAbout>(name);
  const model = openModel(vectors.about.config, bytesOf(vectors.get("model")), ENGINES[engine]);
  const pixels = Uint8Array.from(vectors.get("pixels").values);
  const trace = { ...picture(pixels), ...makeTrace(model, model.run(pixels)) };
  const made = { ...vectors, model, pixels, mask: Float32Array.from(vectors.get("mask").values), trace };
  kept.set(key, made);
  return made;
}

/** A picture of which only the pixels matter. */
export const picture = (pixels: Uint8Array): Picture => ({
  pixels,
  image: { address: "data:," },
  geometry: { originalSize: [1, 1], box: [0, 0, 1, 1] },
});

/** A copy of its own, as a file's bytes come. */
export const bytesOf = ({ values }: Expected): ArrayBuffer => Uint8Array.from(values).buffer;

/**
 * Equal to 1e-4 of the largest value, at least of 1. Python sums in float32 and in an order of its own; through up to
 * five layers and as many LayerNorms, which divide by what may be small, these models come within 3e-5.
 */
export function expectClose(actual: ArrayLike<number>, expected: Pick<Expected, "values">, name: string): void {
  const { values } = expected;
  expect(actual.length, `${name}: number of values`).toBe(values.length);
  let scale = 1;
  let worst = 0;
  for (let i = 0; i < values.length; i++) {
    scale = Math.max(scale, Math.abs(values[i]));
    const error = Math.abs(actual[i] - values[i]);
    worst = error > worst || Number.isNaN(error) ? error : worst;
  }
  expect(worst / scale, `${name}: largest error`).toBeLessThanOrEqual(1e-4);
}

/** One list of rows, joined. */
export const joined = (rows: readonly ArrayLike<number>[]): number[] => rows.flatMap((row) => Array.from(row));
