import { describe, expect, it } from "vitest";
import { argmax, descending } from "../core/maths.ts";
import { expectClose, readCase, CASES } from "../testing/vectors.ts";
import { createAnswers } from "./answers.ts";
import { attentionFrom } from "./attention.ts";
import { centred, contrast, contrastOf } from "./contrast.ts";
import { convolvedMap, openConvolution, openPool } from "./convolution.ts";
import {
  areaUnder,
  judge,
  masksAlong,
  maskWithout,
  percentile,
  randomOrders,
  rank,
  spreadSteps,
} from "./faithfulness.ts";
import { channelMap, channelStrengths, rankChannels } from "./features.ts";
import { poolEvidence, reach } from "./laboratory.ts";
import { collect, compare, openHead, residualStep, rowOf, scoresOf } from "./open_attention.ts";
import { neighbour, overlapOf } from "./overlap.ts";
import {
  brighten,
  colourAt,
  countSeers,
  differing,
  meanColour,
  movePatch,
  paintSquares,
  stroke,
  turn,
} from "./painting.ts";

describe.each(CASES)("the insides of %s", (name) => {
  const { trace, model } = readCase(name);
  const { numHeads, keyDim, sequenceLength: m, hasClassToken } = model.config;

  it("an attention opens to what the pass computed", () => {
    for (let layer = 0; layer < model.config.numLayers; layer++) {
      const attended = new Float32Array(numHeads * keyDim);
      for (let head = 0; head < numHeads; head++) {
        const open = openHead(trace, model, layer, head);
        if (!open) throw new Error("the stream is known");
        const row = Number(hasClassToken) + 2; // of image token 2
        const scores = scoresOf(open, row);
        const raised = scores.map((score) => Math.exp(score - Math.max(...scores)));
        const total = raised.reduce((a, b) => a + b);
        const attention = attentionFrom(trace, 2, layer, head);
        const shares = raised.map((value) => value / total);
        expectClose(shares, { values: Float32Array.from(attention) }, "attention");
        attended.set(collect(open, attention), head * keyDim);
        const { products, score } = compare(rowOf(open.query, row), rowOf(open.key, 0));
        expect(score).toBeCloseTo(scores[0], 10);
        expect(products.length).toBe(keyDim);
      }
      const joined = {
        values: attended,
        rows: 1,
        columns: attended.length,
        start: 0,
        down: attended.length,
        across: 1,
      };
      const output = model.layers.dense(joined, `block_${layer}/attention/projection`).values;
      const dim = model.config.embeddingDim;
      const from = (layer * m + Number(hasClassToken) + 2) * dim;
      const expected = trace.vectors?.attentionOutputs.slice(from, from + dim) ?? new Float32Array();
      expectClose(output, { values: expected }, "attention output");
      const step = residualStep(trace, layer, Number(hasClassToken) + 2);
      expect(step?.attention).toBeCloseTo(Math.hypot(...expected), 4); // float32 outputs
    }
  });

  it("a convolution opens to what the pass computed", () => {
    model.config.tokenizer.forEach((stage, index) => {
      const map = convolvedMap(trace, model, index);
      const cells = [0, Math.floor((map.height * map.width) / 2), map.height * map.width - 1];
      for (const cell of cells) {
        const [row, column] = [Math.floor(cell / map.width), cell % map.width];
        const open = openConvolution(trace, model, index, 1, row, column);
        expect(open.output).toBeCloseTo(map.data[cell * map.channels + 1], 4); // kept as float32 there
        expect(open.products.reduce((a, b) => a + b, open.bias)).toBeCloseTo(open.sum, 9);
        expect(open.inputs.length).toBe(
          stage.kernelSize ** 2 * (index ? trace.featureMaps[index - 1].channels : model.config.channels),
        );
      }
    });
  });

  it("a max pool opens to its winner", () => {
    const last = trace.featureMaps.length - 1;
    const { data, channels, height, width } = trace.featureMaps[last];
    for (let cell = 0; cell < height * width; cell++) {
      const { cells, winner, value } = openPool(trace, model, last, 1, cell);
      expect(value).toBe(data[cell * channels + 1]);
      if (winner !== null) expect(cells[winner].value).toBe(Math.max(...cells.map((one) => one.value)));
      else expect(value).toBe(0); // the padding's
    }
  });
});

describe("contrasts", () => {
  it("are of a class, over another, or over the mean", () => {
    const table = [1, 2, 6, 0, 3, 3];
    expect(Array.from(contrast(table, 3, 2))).toEqual([6, 3]);
    expect(Array.from(contrast(table, 3, 2, 0))).toEqual([5, 3]);
    expect(Array.from(contrast(table, 3, 2, "mean"))).toEqual([3, 1]);
    expect(contrastOf([1, 2, 6], 2, "mean")).toBe(3);
    expect(Array.from(centred(table, 3))).toEqual([-2, -1, 3, -2, 1, 1]);
  });

  it("reach from the lowest to the highest evidence", () => {
    const { trace } = readCase("seqpool");
    const { low, high } = reach(trace);
    trace.logits.forEach((logit, c) => {
      expect(logit).toBeGreaterThanOrEqual(low[c]);
      expect(logit).toBeLessThanOrEqual(high[c]);
    });
    const one = new Float64Array(15);
    one[4] = 1;
    expect(poolEvidence(one, trace.evidence, trace.bias)[0]).toBeCloseTo(trace.evidence[12] + trace.bias[0], 12);
  });
});

describe("faithfulness", () => {
  it("ranks by value, ties by chance", () => {
    expect(rank([1, 9, 5], 0)).toEqual([1, 2, 0]);
    const ties = rank(new Float64Array(40), 0);
    expect(ties).not.toEqual([...ties].sort((a, b) => a - b));
    expect(new Set(ties).size).toBe(40);
  });

  it("draws orders in pairs, each the reverse of the other", () => {
    const orders = randomOrders(9, 4, 0);
    expect(orders.length).toBe(4);
    expect(orders[1]).toEqual([...orders[0]].reverse());
    expect(orders[2]).not.toEqual(orders[0]);
  });

  it("spreads steps the same from both ends", () => {
    for (const [n, points] of [
      [64, 16],
      [15, 6],
      [5, 20],
      [1, 2],
    ]) {
      // prettier-ignore
      const steps = spreadSteps(n, points);
      expect(steps[0]).toBe(0);
      expect(steps[steps.length - 1]).toBe(n);
      expect(steps.map((step) => n - step).reverse()).toEqual(steps);
    }
    expect(spreadSteps(3)).toEqual([0, 1, 2, 3]);
  });

  it("takes the first tokens away, or leaves them alone", () => {
    expect(masksAlong([2, 0, 1], [0, 1, 3], "deletion").map((mask) => mask.join(""))).toEqual(["111", "110", "000"]);
    expect(masksAlong([2, 0, 1], [0, 1, 3], "insertion").map((mask) => mask.join(""))).toEqual(["000", "001", "111"]);
  });

  it("measures areas and ranks among others", () => {
    expect(areaUnder([0, 2, 4], [1, 0.5, 0])).toBe(0.5);
    expect(percentile(2, [1, 2, 3])).toBe(0.5);
    expect(percentile(2, [])).toBe(0.5);
    expect([0.95, 0.7, 0.5].map(judge)).toEqual(["better", "unclear", "chance"]);
  });

  it("asks for each answer once", () => {
    const answers = createAnswers();
    const [one, other] = [maskWithout(3, [0]), maskWithout(3, [1])];
    answers.put(one, Float32Array.of(1));
    expect(answers.missing([one, other, maskWithout(3, [1])])).toEqual([other]);
    expect(answers.of(Float32Array.of(0, 1, 1))?.[0]).toBe(1);
    expect(answers.of(other)).toBeUndefined();
    expect(answers.size).toBe(1);
  });
});

describe("feature maps", () => {
  it("are ranked by their RMS activation", () => {
    const [map] = readCase("seqpool").trace.featureMaps;
    const strengths = channelStrengths(map);
    for (let c = 0; c < map.channels; c++) {
      const squares = channelMap(map, c).reduce((total, value) => total + value * value, 0);
      expect(strengths[c]).toBeCloseTo(Math.sqrt(squares / (map.height * map.width)), 9);
    }
    expect(rankChannels(map)).toEqual(descending(strengths));
    expect(rankChannels(map)[0]).toBe(argmax(strengths));
  });
});

describe("paint", () => {
  const size = [3, 4] as const;
  const pixels = Uint8Array.from({ length: 36 }, (_, i) => i);

  it("covers a square that is cut at the edges", () => {
    const painted = paintSquares(pixels, size, [0], 3, [9, 9, 9]);
    expect(differing(pixels, painted)).toEqual([0, 1, 4, 5]);
    expect(colourAt(painted, 5)).toEqual([9, 9, 9]);
    expect(colourAt(pixels, 5)).toEqual([15, 16, 17]);
    const erased = paintSquares(painted, size, [0], 1, (cell) => colourAt(pixels, cell));
    expect(differing(pixels, erased)).toEqual([1, 4, 5]);
  });

  it("takes the mean colour, halves rounded to even", () => {
    expect(meanColour(Uint8Array.of(0, 1, 2, 1, 2, 3))).toEqual([0, 2, 2]);
  });

  it("moves a patch, cut at the edges, and leaves a colour", () => {
    const moved = movePatch(pixels, size, 0, 5, 3, [9, 9, 9]);
    expect([0, 1, 4].map((cell) => String(colourAt(moved, cell)))).toEqual(["9,9,9", "9,9,9", "9,9,9"]);
    expect(colourAt(moved, 5)).toEqual(colourAt(pixels, 0));
    expect(colourAt(moved, 10)).toEqual(colourAt(pixels, 5));
    expect(movePatch(pixels, size, 6, 6, 3, [9, 9, 9])).toEqual(pixels);
    const once = movePatch(pixels, size, 0, 11, 1, [9, 9, 9]);
    expect(differing(pixels, once)).toEqual([0, 11]);
    expect([colourAt(once, 0), colourAt(once, 11)]).toEqual([[9, 9, 9], colourAt(pixels, 0)]);
  });

  it("is brighter up to white", () => {
    expect(Array.from(brighten(Uint8Array.of(0, 5, 100, 200), 1.5))).toEqual([0, 8, 150, 255]);
  });

  it("turns clockwise about the centre, and what comes in has the colour", () => {
    const square = Uint8Array.from({ length: 27 }, (_, i) => i);
    const quarter = turn(square, [3, 3], 90, [9, 9, 9]);
    const cells = [6, 3, 0, 7, 4, 1, 8, 5, 2]; // the left column becomes the top row
    expect(cells.map((cell, i) => [colourAt(square, cell), colourAt(quarter, i)].map(String))).toEqual(
      cells.map((cell) => [String(colourAt(square, cell)), String(colourAt(square, cell))]),
    );
    expect(turn(square, [3, 3], 0, [9, 9, 9])).toEqual(square);
    const flat = new Uint8Array(300).fill(50);
    const turned = turn(flat, [10, 10], 45, [200, 200, 200]);
    expect([colourAt(turned, 0)[0], colourAt(turned, 55)[0]]).toEqual([200, 50]);
  });

  it("draws a stroke without a gap", () => {
    expect(stroke(0, 3, 4)).toEqual([0, 1, 2, 3]);
    expect(stroke(0, 10, 4)).toEqual([0, 5, 10]);
    expect(stroke(5, 5, 4)).toEqual([5, 5]);
  });

  it("is seen by the tokens whose windows hold it", () => {
    const { trace } = readCase("seqpool");
    const last = trace.stages[trace.stages.length - 1];
    const all = Array.from({ length: 240 }, (_, cell) => cell);
    expect(countSeers(last, all, 20)).toBe(15);
    expect(countSeers(last, [], 20)).toBe(0);
    const [y0, x0] = last.windows;
    const seers = countSeers(last, [y0 * 20 + x0], 20);
    expect(seers).toBeGreaterThan(0);
    expect(seers).toBeLessThan(15);
  });
});

describe("overlap", () => {
  it("has a neighbour where there is one", () => {
    expect([0, 1, 2].map((cell) => neighbour(cell, 1, 3))).toEqual([1, 2, 1]);
    expect([0, 1, 2].map((cell) => neighbour(cell, 3, 1))).toEqual([1, 2, 1]);
    expect(neighbour(0, 1, 1)).toBeNull();
  });

  it("counts shared pixels and the most cells that see one", () => {
    const { trace, model } = readCase("seqpool");
    const last = trace.stages[trace.stages.length - 1];
    const { shared, mostSeers, miss } = overlapOf(last, model.config.imageSize);
    expect(shared).toEqual([last.windowSize[0] - last.stride[0], last.windowSize[1] - last.stride[1]]);
    const seen = Array.from({ length: 240 }, (_, cell) => countSeers(last, [cell], 20));
    let most = 0;
    for (let cell = 0; cell < 240; cell++) {
      const [y, x] = [Math.floor(cell / 20), cell % 20];
      let count = 0;
      for (let t = 0; t < 15; t++) {
        const [y0, x0, y1, x1] = last.windows.subarray(4 * t, 4 * t + 4);
        count += Number(y0 <= y && y < y1 && x0 <= x && x < x1);
      }
      most = Math.max(most, count);
    }
    expect(mostSeers).toBe(most);
    expect(Math.max(...seen)).toBe(most);
    expect(miss[0]).toBeCloseTo(last.centres[2 * 7] - 6, 9); // the middle row of three lies at half of twelve pixels
  });
});
