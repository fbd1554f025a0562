// Where a token lies in the picture: its patch, the pixels it depends on, and the cells of each conv stage between.

import type { StageGeometry, Trace } from "../model/trace.ts";

/** y0 x0 y1 x1, end exclusive. */
export type Rectangle = readonly [y0: number, x0: number, y1: number, x1: number];

/**
 * The patch of each token, in pixels of the model's input: one step of the token grid high and wide, around the centre
 * of its receptive field, moved inside the picture where it would stand over its edge.
 */
export function patchBoxes(trace: Trace): Rectangle[] {
  const last = lastStage(trace),
    [height, width] = trace.config.imageSize,
    [down, right] = [Math.min(last.stride[0], height), Math.min(last.stride[1], width)],
    inside = (start: number, size: number, length: number) => Math.min(length - size, Math.max(0, start));
  return Array.from({ length: trace.config.numTokens }, (_, t) => {
    const y0 = inside((last.centres[2 * t] ?? 0) - down / 2, down, height),
      x0 = inside((last.centres[2 * t + 1] ?? 0) - right / 2, right, width);
    return [y0, x0, y0 + down, x0 + right];
  });
}

function lastStage(trace: Trace): StageGeometry {
  const stage = trace.stages.at(-1);
  if (!stage) throw new RangeError("a trace has at least one conv stage");
  return stage;
}

/** The pixels that token t depends on. */
export function receptiveField(trace: Trace, t: number): Rectangle {
  const [y0 = 0, x0 = 0, y1 = 0, x1 = 0] = trace.receptiveFields.subarray(4 * t, 4 * t + 4);
  return [y0, x0, y1, x1];
}

/** The image token whose patch is nearest to a point of the picture, given as shares of its height and width. */
export function tokenAt(boxes: readonly Rectangle[], columns: number, imageSize: readonly [number, number]) {
  const rows = boxes.length / columns,
    ys = Array.from({ length: rows }, (_, r) => middle(boxes[r * columns], 0)),
    xs = Array.from({ length: columns }, (_, c) => middle(boxes[c], 1));
  return (v: number, u: number): number => nearest(ys, v * imageSize[0]) * columns + nearest(xs, u * imageSize[1]);
}

const middle = (box: Rectangle | undefined, axis: 0 | 1): number =>
  box ? (box[axis] + box[(axis + 2) as 2 | 3]) / 2 : 0;

function nearest(places: readonly number[], at: number): number {
  let best = 0;
  places.forEach((place, i) => {
    if (Math.abs(place - at) < Math.abs((places[best] ?? 0) - at)) best = i;
  });
  return best;
}

/** The mean colour of each token's patch, 0 to 255. */
export function patchColours(trace: Trace, boxes: readonly Rectangle[]): [number, number, number][] {
  const [height, width] = trace.config.imageSize;
  return boxes.map(([y0, x0, y1, x1]) => {
    const sum: [number, number, number] = [0, 0, 0];
    let count = 0;
    for (let y = Math.floor(y0); y < Math.min(height, Math.ceil(y1)); y++)
      for (let x = Math.floor(x0); x < Math.min(width, Math.ceil(x1)); x++) {
        const at = (y * width + x) * 3;
        sum[0] += trace.pixels[at] ?? 0;
        sum[1] += trace.pixels[at + 1] ?? 0;
        sum[2] += trace.pixels[at + 2] ?? 0;
        count++;
      }
    const mean = (total: number) => Math.round(total / Math.max(1, count));
    return [mean(sum[0]), mean(sum[1]), mean(sum[2])];
  });
}

/**
 * The cells of a conv stage that cell t of a later stage depends on (left out: token t), in rows and columns of that
 * stage: those whose unclipped window lies in the cell's, which is exact because a cell's window is the union of theirs.
 */
export function cellsOf(trace: Trace, stage: number, t: number, later = trace.stages.length - 1): Rectangle {
  const cells = trace.stages[stage] ?? lastStage(trace),
    last = trace.stages[later] ?? lastStage(trace),
    axis = (which: 0 | 1): [number, number] => {
      const half = last.windowSize[which] / 2,
        centre = last.centres[2 * t + which] ?? 0,
        count = which ? cells.columns : cells.rows,
        own = cells.windowSize[which] / 2;
      let from = count,
        to = 0;
      for (let i = 0; i < count; i++) {
        const at = cells.centres[2 * (which ? i : i * cells.columns) + which] ?? 0;
        if (at - own < centre - half - 1e-6 || at + own > centre + half + 1e-6) continue;
        from = Math.min(from, i);
        to = i + 1;
      }
      return [from, to];
    },
    [y0, y1] = axis(0),
    [x0, x1] = axis(1);
  return [y0, x0, y1, x1];
}

/** Whether the tokens' pixels do not overlap: the picture is cut into squares, as in ViT. */
export function isPatches(trace: Trace): boolean {
  const { windowSize, stride } = lastStage(trace);
  return windowSize[0] <= stride[0] && windowSize[1] <= stride[1];
}
