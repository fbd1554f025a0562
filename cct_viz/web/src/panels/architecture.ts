// The network as a list of boxes, from pixels to classes, and what one pass costs.

import { find, t } from "../i18n/index.ts";
import type { Config } from "../model/config.ts";
import { convSlide } from "../model/slide.ts";
import { findPool } from "../model/pools.ts";
import type { StageGeometry } from "../model/trace.ts";

export interface Box {
  readonly name: string;
  readonly size: string;
  readonly words: string;
}

export function boxesOf(config: Config, geometry: readonly StageGeometry[]): Box[] {
  const [height, width] = config.imageSize;
  const boxes: Box[] = [{ name: t("place.pixels"), size: `${height} × ${width} × ${config.channels}`, words: "" }];
  config.tokenizer.forEach((stage, i) => {
    const [rows, columns] = config.stageShapes[i];
    const parts = [t("model.conv", { size: stage.kernelSize })];
    if (stage.stride > 1) parts.push(t("model.stride", { stride: stage.stride }));
    if (stage.relu) parts.push("ReLU");
    if (stage.poolSize) parts.push(t("model.maxPool", { size: stage.poolSize }));
    parts.push(t("model.sees", { size: geometry[i].windowSize.join(" × ") }));
    boxes.push({
      name: t("model.tokenizer", { n: i + 1 }),
      size: `${rows} × ${columns} × ${stage.channels}`,
      words: parts.join(", "),
    });
  });
  boxes.push({
    name: t("place.tokens"),
    size: `${config.numTokens} × ${config.embeddingDim}`,
    words: t(`model.position.${config.position}`),
  });
  boxes.push({
    name: t("model.blocks", { count: config.numLayers }),
    size: t("model.heads", { count: config.numHeads }),
    words: t("model.block", {
      width: config.keyDim,
      mlp: config.mlpDim,
      order: find(`block.${config.block}`) ?? config.block,
    }),
  });
  boxes.push({
    name: t("place.pool"),
    size: `${config.embeddingDim}`,
    words: find(`pool.${config.pool}.title`) ?? config.pool,
  });
  boxes.push({ name: t("place.classes"), size: `${config.numClasses}`, words: t("model.head") });
  return boxes;
}

/** Multiply-accumulates of one picture, as cct_viz/architecture/cost.py counts them. */
export function macsOf(config: Config): number {
  let total = 0;
  let channels: number = config.channels;
  let [height, width]: readonly number[] = config.imageSize;
  config.tokenizer.forEach((stage, i) => {
    const rows = convSlide(stage, height).places;
    const columns = convSlide(stage, width).places;
    total += rows * columns * stage.channels * stage.kernelSize ** 2 * channels;
    channels = stage.channels;
    [height, width] = config.stageShapes[i];
  });
  const { sequenceLength: m, embeddingDim: dim, numHeads, keyDim, mlpDim, numLayers, numTokens, numClasses } = config;
  const inner = numHeads * keyDim;
  total += numLayers * (4 * m * dim * inner + 2 * m * m * inner + 2 * m * dim * mlpDim);
  return total + findPool(config.pool).macs(numTokens, dim) + dim * numClasses;
}
