/** A trace that a server computed: the payload of cct_viz/web/payload.py, opened. */

import { decode, decodeFloats, type Encoded } from "../core/arrays.ts";
import { normaliseRows } from "../core/matrix.ts";
import { problem } from "../core/problem.ts";
import { readPixels } from "../picture/canvas.ts";
import { findBlock } from "./blocks.ts";
import { probabilitiesOf } from "./make_trace.ts";
import { findPool } from "./pools.ts";
import type { FeatureMap, Fusion, StageGeometry, Trace } from "./trace.ts";

const VERSION = 1;

/** The payload as it travels. */
interface Payload {
  readonly version: number;
  readonly pool: string;
  readonly block: string;
  readonly output?: "softmax" | "sigmoid";
  readonly labels: readonly string[];
  readonly grid: readonly [number, number];
  readonly layers: number;
  readonly heads: number;
  readonly tokens: number;
  readonly photo: string;
  readonly pixels: string;
  readonly size: readonly [number, number];
  readonly original: readonly [number, number];
  readonly crop: readonly [number, number, number, number];
  readonly stages: readonly PayloadStage[];
  readonly attentions: Encoded | null;
  readonly fused: Readonly<Record<Fusion, Encoded>> | null;
  readonly alpha: Encoded;
  readonly readout: Encoded;
  readonly weights: Encoded | null;
  readonly scores: Encoded | null;
  readonly evidence: Encoded;
  readonly contributions: Encoded | null;
  readonly logits: Encoded;
  readonly bias: Encoded;
  readonly maps: readonly PayloadMaps[];
}

interface PayloadStage {
  readonly windows: Encoded;
  readonly centres: Encoded;
  readonly stride: readonly [number, number];
  readonly window: readonly [number, number];
  /** (channels, rows, columns) */
  readonly maps: Encoded;
}

interface PayloadMaps {
  readonly method: string;
  readonly caption: string;
  readonly signed: boolean;
  readonly unit: string;
  readonly names: readonly string[];
  readonly values: Encoded;
}

/**
 * @param json the payload, as text or parsed
 * @param read gives the pixels (H, W, 3) at an image's address
 * @throws {Error} a payload of another version, or of a pool or a block order that this page does not have
 */
export async function openPayload(json: string | object, read = readPixels): Promise<Trace> {
  const raw = (typeof json === "string" ? JSON.parse(json) : json) as Payload;
  if (raw.version !== VERSION) throw problem("payload.version", { expected: VERSION, version: String(raw.version) });
  findBlock(raw.block);
  const trace = openTrace(raw, await read(raw.pixels));
  const computed = raw.maps.map(({ values, names, ...rest }) => ({
    ...rest,
    maps: rows(decodeFloats(values), names.length),
  }));
  return { ...trace, computed };
}

function openTrace(raw: Payload, pixels: Uint8Array): Trace {
  const pool = findPool(raw.pool);
  const [rows, columns] = raw.grid;
  const output = raw.output ?? "softmax";
  const logits = decodeFloats(raw.logits);
  const evidence = decodeFloats(raw.evidence);
  const poolingWeights = optional(raw.weights);
  const stages = raw.stages.map(openStage);
  const k = raw.labels.length;
  return {
    config: {
      imageSize: raw.size,
      pool: raw.pool,
      block: raw.block,
      output,
      numLayers: raw.layers,
      numHeads: raw.heads,
      numTokens: rows * columns,
      sequenceLength: raw.tokens,
      hasClassToken: pool.classToken,
      numClasses: k,
    },
    labels: raw.labels,
    grid: { rows, columns },
    pixels,
    image: { address: raw.photo },
    geometry: { originalSize: raw.original, box: raw.crop },
    featureMaps: raw.stages.map(openMap),
    stages,
    receptiveFields: stages[stages.length - 1].windows,
    vectors: null,
    attentions: raw.attentions && openAttention(raw.attentions, raw.tokens),
    fused: raw.fused && {
      mean: openAttention(raw.fused.mean, raw.tokens),
      max: openAttention(raw.fused.max, raw.tokens),
      min: openAttention(raw.fused.min, raw.tokens),
    },
    attentionShares: decodeFloats(raw.alpha),
    poolScores: optional(raw.scores),
    poolingWeights,
    evidence,
    contributions: poolingWeights
      ? evidence.map((value, i) => value * poolingWeights[Math.floor(i / k)])
      : optional(raw.contributions),
    bias: decodeFloats(raw.bias),
    logits,
    probabilities: probabilitiesOf(output, logits),
    readout: decodeFloats(raw.readout),
  };
}

/** Rows that travelled as float16 sum to 1 again. */
const openAttention = (encoded: Encoded, m: number): Float32Array => normaliseRows(decodeFloats(encoded), m);

const optional = (encoded: Encoded | null): Float32Array | null => encoded && decodeFloats(encoded);

function openStage({ windows, centres, stride, window, maps }: PayloadStage): StageGeometry {
  const [, rows, columns] = maps.shape;
  return {
    rows,
    columns,
    windows: decode(windows, "int16"),
    centres: decodeFloats(centres),
    stride,
    windowSize: window,
  };
}

/** (channels, cells) as (cells, channels). */
function openMap({ maps }: PayloadStage): FeatureMap {
  const [channels, height, width] = maps.shape;
  const values = decodeFloats(maps);
  const cells = height * width;
  const data = Float32Array.from(values, (_, i) => values[(i % channels) * cells + Math.floor(i / channels)]);
  return { height, width, channels, data };
}

const rows = (values: Float32Array, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, i) =>
    values.subarray((i * values.length) / count, ((i + 1) * values.length) / count),
  );
