// Small traces with made-up numbers for tests: of every pool, grid and depth, consistent in themselves.

import type { Trace } from "../model/trace.ts";

export interface Made {
  readonly rows?: number;
  readonly columns?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly classes?: number;
  readonly pool?: "seqpool" | "mean" | "max" | "class_token";
  readonly stages?: number;
  readonly output?: "softmax" | "sigmoid";
}

/** Numbers between -1 and 1, the same each time. */
function drawer(): () => number {
  let state = 12345;
  return () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (state / 2147483648) * 2 - 1;
  };
}

const softmax = (values: number[]): number[] => {
  const powers = values.map(Math.exp),
    total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
};

export function madeTrace(given: Made = {}): Trace {
  const { rows = 4, columns = 4, layers = 2, heads = 2, classes = 5, pool = "seqpool", stages = 2 } = given,
    draw = drawer(),
    n = rows * columns,
    classToken = pool === "class_token",
    m = n + (classToken ? 1 : 0),
    list = (count: number, scale = 1) => Array.from({ length: count }, () => scale * draw()),
    evidence = list(n * classes, 3),
    bias = list(classes, 0.2),
    weights = pool === "seqpool" ? softmax(list(n, 2)) : pool === "mean" ? Array(n).fill(1 / n) : null,
    won = softmax(list(n)),
    share = (t: number): number => (pool === "max" ? (won[t] ?? 0) : (weights?.[t] ?? 0)),
    // Max pooling reads other evidence in each channel, so a contribution is not share x evidence.
    twist = pool === "max" ? list(n * classes) : null,
    contributions = classToken
      ? null
      : evidence.map((e, i) => share(Math.floor(i / classes)) * (e + (twist?.[i] ?? 0))),
    logits = bias.map((b, k) => {
      let sum = b;
      for (let t = 0; t < n; t++) sum += contributions?.[t * classes + k] ?? 0;
      return sum;
    }),
    attentions = Array.from({ length: layers * heads * m }, () => softmax(list(m, 3))).flat(),
    step = 4,
    imageSize: [number, number] = [rows * step, columns * step];
  const stageOf = (index: number) => {
    const factor = 2 ** (stages - 1 - index),
      [r, c, size] = [rows * factor, columns * factor, step / factor],
      windows: number[] = [],
      centres: number[] = [];
    for (let y = 0; y < r; y++)
      for (let x = 0; x < c; x++) {
        // A window of three steps around the cell.
        windows.push(
          Math.max(0, (y - 1) * size),
          Math.max(0, (x - 1) * size),
          Math.min(imageSize[0], (y + 2) * size),
          Math.min(imageSize[1], (x + 2) * size),
        );
        centres.push((y + 0.5) * size, (x + 0.5) * size);
      }
    return {
      rows: r,
      columns: c,
      windows: Int16Array.from(windows),
      centres: Float32Array.from(centres),
      stride: [size, size] as const,
      windowSize: [3 * size, 3 * size] as const,
    };
  };
  const geometry = Array.from({ length: stages }, (_, i) => stageOf(i)),
    last = geometry.at(-1);
  return {
    config: {
      imageSize,
      pool,
      block: "official",
      output: given.output ?? "softmax",
      numLayers: layers,
      numHeads: heads,
      numTokens: n,
      sequenceLength: m,
      hasClassToken: classToken,
      numClasses: classes,
    },
    labels: Array.from({ length: classes }, (_, k) => `class ${k}`),
    grid: { rows, columns },
    pixels: Uint8Array.from(list(imageSize[0] * imageSize[1] * 3), (value) => 127 + 120 * value),
    image: { address: "data:," },
    geometry: { originalSize: imageSize, box: [0, 0, ...imageSize] },
    featureMaps: geometry.map(({ rows: height, columns: width }) => ({
      height,
      width,
      channels: 8,
      data: Float32Array.from(list(height * width * 8), (value) => Math.max(0, value)),
    })),
    stages: geometry,
    receptiveFields: last?.windows ?? new Int16Array(),
    vectors: null,
    attentions: Float32Array.from(attentions),
    fused: null,
    attentionShares: new Float32Array(layers * m).fill(0.5),
    poolScores: null,
    poolingWeights: weights && Float32Array.from(weights),
    evidence: Float32Array.from(evidence),
    contributions: contributions && Float32Array.from(contributions),
    bias: Float32Array.from(bias),
    logits: Float32Array.from(logits),
    probabilities: Float64Array.from(
      given.output === "sigmoid" ? logits.map((logit) => 1 / (1 + Math.exp(-logit))) : softmax(logits),
    ),
    readout: Float32Array.from(
      classToken ? [1, ...Array(n).fill(0)] : pool === "max" ? won : (weights ?? Array(n).fill(1 / n)),
    ),
  };
}

/** Depths that go with it. */
export function madeDepths({ config, logits, probabilities, evidence }: Trace) {
  const depths = config.numLayers + 1,
    repeat = (values: ArrayLike<number>) => Array.from({ length: depths }, () => Array.from(values)).flat();
  return { logits: repeat(logits), probabilities: repeat(probabilities), evidence: repeat(evidence) };
}
