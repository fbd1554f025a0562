// Reads a trace that Python dumped as JSON.

import type { Trace } from "../../model/trace.ts";
import type { Depths } from "../../hero/scene.ts";

interface Packed {
  shape: number[];
  data: string;
}

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = ({ data }: Packed): Float32Array => new Float32Array(bytes(data).buffer);

export async function readDump(address: string): Promise<{ trace: Trace; depths: Depths; truth: number | null }> {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a file of the developer's own
  const d: any = await (await fetch(address)).json();
  const [rows, columns] = d.grid,
    n = rows * columns,
    classToken = d.pool === "class_token",
    [height, width] = d.pixelsShape,
    attentions: Packed = d.attentions;
  const trace: Trace = {
    config: {
      imageSize: [height, width],
      pool: d.pool,
      block: d.block,
      output: "softmax",
      numLayers: attentions.shape[0] ?? 0,
      numHeads: attentions.shape[1] ?? 0,
      numTokens: n,
      sequenceLength: n + (classToken ? 1 : 0),
      hasClassToken: classToken,
      numClasses: d.labels.length,
    },
    labels: d.labels,
    grid: { rows, columns },
    pixels: bytes(d.pixels),
    image: { address: d.photo },
    geometry: { originalSize: [height, width], box: [0, 0, height, width] },
    featureMaps: d.featureMaps.map((map: Packed) => ({
      height: map.shape[0],
      width: map.shape[1],
      channels: map.shape[2],
      data: floats(map),
    })),
    stages: d.stages.map((stage: { windows: Packed; centres: Packed; stride: number[]; windowSize: number[] }) => ({
      rows: stage.windows.shape[0],
      columns: stage.windows.shape[1],
      windows: Int16Array.from(floats(stage.windows)),
      centres: floats(stage.centres),
      stride: stage.stride,
      windowSize: stage.windowSize,
    })),
    receptiveFields: Int16Array.from(floats(d.receptiveField)),
    vectors: null,
    attentions: floats(attentions),
    fused: null,
    attentionShares: new Float32Array(),
    poolScores: d.poolScores && floats(d.poolScores),
    poolingWeights: d.poolingWeights && floats(d.poolingWeights),
    evidence: floats(d.evidence).slice(-n * d.labels.length),
    contributions: d.contributions && floats(d.contributions),
    bias: floats(d.bias),
    logits: floats(d.logits),
    probabilities: Float64Array.from(floats(d.probabilities)),
    readout: floats(d.readout),
  };
  const depths = {
    logits: floats(d.lensLogits),
    probabilities: floats(d.lensProbabilities),
    evidence: floats(d.lensEvidence),
  };
  const truth = d.labels.indexOf(d.true);
  return { trace, depths, truth: truth < 0 ? null : truth };
}
