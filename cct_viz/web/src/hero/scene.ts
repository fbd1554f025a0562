// Everything that the still part of the drawing shows of one trace and one class, in places and sizes: a pure function.

import type { Trace } from "../model/trace.ts";
import { strongestKeys, strongestOfAll, attentionRow, type Key } from "./attention.ts";
import { layout, linear, type Figure, type Layout } from "./layout.ts";
import { letters } from "./letters.ts";
import { patchBoxes, patchColours, type Rectangle } from "./patches.ts";
import { argmax, extent, poolingOf, runningSum, shownClasses, type Pooling, type ShownClasses } from "./pooling.ts";
import { curve, line, type Point } from "./shapes.ts";
import { labelName } from "../i18n/names.ts";

/** What the model would answer, and what each token would say, if the encoder ended after each depth (logit lens). */
export interface Depths {
  /** (L + 1, K) */
  readonly logits: ArrayLike<number>;
  /** (L + 1, K) */
  readonly probabilities: ArrayLike<number>;
  /** (L + 1, N, K), logits without the bias. */
  readonly evidence: ArrayLike<number>;
}

export interface SceneOptions {
  readonly trace: Trace;
  readonly width: number;
  readonly height: number;
  readonly figure: Figure;
  /** The explained class. */
  readonly target: number;
  /** The class the picture is labelled with. */
  readonly truth: number | null;
  readonly openLayer: number | null;
  /** null: the mean of the heads. */
  readonly head: number | null;
  readonly depths: Depths | null;
  /** Whether a row says that the picture may be none of the classes. */
  readonly uncertain: boolean;
  readonly scale?: number;
  readonly sum?: boolean;
}

export interface Ribbon {
  readonly path: string;
  readonly colour: string;
  readonly width: number;
}

/** Above so many tokens ribbons are grouped. */
export const MOST_SINGLE = 1024;

/** Ribbons whose widths are the same to half a pixel, and whose colours are the same, as one path each. */
export function groupRibbons(ribbons: readonly Ribbon[]): Ribbon[] {
  const groups = new Map<string, { paths: string[]; colour: string; width: number }>();
  for (const { path, colour, width } of ribbons) {
    const step = Math.max(0.35, Math.round(2 * width) / 2),
      name = `${colour} ${step}`,
      group = groups.get(name) ?? { paths: [], colour, width: step };
    group.paths.push(path);
    groups.set(name, group);
  }
  return [...groups.values()].map(({ paths, colour, width }) => ({ path: paths.join(""), colour, width }));
}

export interface Mark {
  readonly y: number;
  readonly height: number;
  /** -1 to 1: the token's own score for the class over the largest of all columns. */
  readonly tone: number;
}

export interface Foot {
  readonly x: number;
  readonly label: string;
  readonly probability: number;
}

export interface ClassRow {
  readonly index: number;
  readonly y: number;
  readonly height: number;
  readonly bar: { readonly y: number; readonly height: number; readonly width: number };
}

export interface ClassRows {
  readonly rows: readonly ClassRow[];
  /** Of the classes without a row; null where all have one. */
  readonly others: { readonly y: number; readonly count: number; readonly probability: number } | null;
  /** Where "none of these" stands; null where it does not. */
  readonly none: { readonly y: number } | null;
}

export interface Scene {
  readonly trace: Trace;
  readonly layout: Layout;
  readonly target: number;
  readonly head: number | null;
  readonly uncertain: boolean;
  readonly boxes: readonly Rectangle[];
  /** (N) as CSS. */
  readonly colours: readonly string[];
  readonly pooling: Pooling | null;
  readonly ribbons: readonly Ribbon[];
  /** What the class token attends to in the last layer, where it is open. */
  readonly reading: readonly Ribbon[];
  readonly marks: readonly (readonly Mark[])[];
  readonly feet: readonly Foot[];
  /** Smallest and largest length, with 0. */
  readonly lengths: readonly [number, number];
  readonly lengthX: (logits: number) => number;
  readonly sums: readonly { readonly index: number; readonly path: string }[];
  /** (N + 1) of the target. */
  readonly running: Float64Array;
  readonly sumX: (logits: number) => number;
  readonly sumArea: string;
  readonly classRows: ClassRows;
  readonly pipe: string;
  /** Pixels of a ribbon of the path at a share of 1. */
  readonly pathScale: number;
}

/** Ribbons a query in the still drawing, and of the lit token. */
export const RIBBONS = { open: 5, folded: 3 } as const;

const rgb = (colour: readonly [number, number, number]): string => `rgb(${colour.join(" ")})`;

/** One of 512 colours, so that many tokens share theirs. */
const coarsen = ([r, g, b]: readonly [number, number, number]): [number, number, number] => {
  const step = (value: number) => Math.min(255, 32 * Math.floor(value / 32) + 16);
  return [step(r), step(g), step(b)];
};

export function makeScene(options: SceneOptions): Scene {
  const { trace, target } = options,
    [height, width] = trace.config.imageSize,
    pooling = poolingOf(trace, target),
    geometry = layout(options.width, options.height, trace.config.numTokens, trace.config.numLayers, {
      rows: trace.grid.rows,
      columns: trace.grid.columns,
      aspect: height / width,
      stages: trace.stages.length,
      classToken: trace.config.hasClassToken,
      open: options.openLayer,
      shares: pooling?.shares ?? null,
      figure: options.figure,
      scale: options.scale ?? 1,
      sum: options.sum ?? false,
    }),
    boxes = patchBoxes(trace),
    coarse = trace.config.numTokens > MOST_SINGLE,
    colours = patchColours(trace, boxes).map((colour) => rgb(coarse ? coarsen(colour) : colour)),
    shown = shownFor(options, geometry),
    classRows = rowsOf(geometry, shown, trace, options.uncertain && options.figure === "page"),
    lengths = extent([pooling?.lengths ?? []]),
    sums = sumsOf(trace, geometry, target, shown),
    keys = openKeys(trace, geometry, options.head),
    ribbonScale = ribbonScaleOf(geometry, keys),
    ribbons = ribbonsOf(geometry, keys, colours, ribbonScale);
  return {
    trace,
    layout: geometry,
    target,
    head: options.head,
    uncertain: options.uncertain,
    boxes,
    colours,
    pooling,
    ribbons: coarse ? groupRibbons(ribbons) : ribbons,
    reading: readingOf(trace, geometry, options.head, ribbonScale),
    marks: marksOf(trace, geometry, target, options.depths),
    feet: feetOf(trace, geometry, options.depths),
    lengths,
    lengthX: linear(lengths, [
      geometry.evidence?.x ?? 0,
      (geometry.evidence?.x ?? 0) + (geometry.evidence?.width ?? 0),
    ]),
    ...sums,
    classRows,
    pipe: pipeOf(geometry, classRows, target, sums),
    pathScale: pathScaleOf(geometry, keys),
  };
}

function shownFor({ trace, target, truth, figure }: SceneOptions, geometry: Layout): ShownClasses {
  const room = geometry.bottom - geometry.top,
    all = trace.config.numClasses,
    most = figure === "compact" ? 1 + Math.max(0, Math.floor((room - 62) / 26)) : all > 10 ? 5 : 10;
  return shownClasses(trace.probabilities, [target, figure === "compact" ? null : truth], most);
}

const FIRST_ROW = 64;

/** The first row is the most probable class, large; the others share the height that is left. */
function rowsOf(geometry: Layout, shown: ShownClasses, trace: Trace, none: boolean): ClassRows {
  const { top, bottom, classes, figure } = geometry,
    compact = figure === "compact",
    reserved = none ? 52 : 0,
    count = shown.rows.length - 1 + (shown.others && !compact ? 1 : 0),
    room = bottom - top - FIRST_ROW - 6 - reserved,
    rowHeight = Math.min(52, compact ? 29 : room / Math.max(1, count)),
    width = classes?.width ?? 0;
  let y = compact ? top - 8 : top;
  const rows = shown.rows.map((index, i) => {
    const height = i ? rowHeight : FIRST_ROW,
      bar = { y: i ? y + rowHeight / 2 + 8 : y + 38, height: i ? 3 : 10 },
      row = {
        index,
        y,
        height,
        bar: { ...bar, width: Math.max(bar.height, width * (trace.probabilities[index] ?? 0)) },
      };
    y += height + (i ? 0 : 6);
    return row;
  });
  const others =
    shown.others && !compact
      ? { y: y + rowHeight / 2 + 2, count: shown.others, probability: shown.othersProbability }
      : null;
  return { rows, others, none: none ? { y: others ? y + rowHeight : y } : null };
}

function openKeys(trace: Trace, geometry: Layout, head: number | null): Map<number, Key[][]> {
  const count = geometry.folded ? RIBBONS.folded : RIBBONS.open;
  return new Map(
    geometry.spans
      .filter((span) => span.open)
      .map((span) => [span.layer, strongestOfAll(trace, span.layer, head, count)]),
  );
}

const middleOf = (geometry: Layout, row: number): number => geometry.rowY(row) + geometry.rowHeight(row) / 2;

/**
 * Pixels of a ribbon at a share of 1: 26, less in a low drawing, and less where the rows are thin, so that the mean
 * strongest ribbon is at most two rows thick. One factor for all ribbons: widths stay proportional to the shares.
 */
function ribbonScaleOf(geometry: Layout, keys: Map<number, Key[][]>): number {
  const strongest = [...keys.values()].flat().map((best) => best[0]?.share ?? 0),
    mean = strongest.reduce((sum, share) => sum + share, 0) / (strongest.length || 1);
  return Math.min(26 * Math.min(1, (geometry.bottom - geometry.top) / 480), (2 * geometry.pitch) / (mean || 1));
}

const ribbonWidth = (scale: number, share: number): number => Math.max(0.35, share * scale);

function ribbonsOf(geometry: Layout, keys: Map<number, Key[][]>, colours: readonly string[], scale: number): Ribbon[] {
  const first = geometry.classToken ? 1 : 0;
  return geometry.spans.flatMap(({ layer, x0, x1 }) =>
    (keys.get(layer) ?? []).flatMap((best, query) =>
      best.map(({ row, share }) => ({
        path: curve(x0, middleOf(geometry, row), x1, middleOf(geometry, query)),
        colour: colours[row - first] ?? "var(--soft)",
        width: ribbonWidth(scale, share),
      })),
    ),
  );
}

function readingOf(trace: Trace, geometry: Layout, head: number | null, scale: number): Ribbon[] {
  const span = geometry.spans.at(-1);
  if (!geometry.classToken || !span?.open) return [];
  return strongestKeys(attentionRow(trace, span.layer, head, 0), 16).map(({ row, share }) => ({
    path: curve(span.x0, middleOf(geometry, row), span.x1, middleOf(geometry, 0)),
    colour: "var(--weight)",
    width: ribbonWidth(scale, share),
  }));
}

/** A share of 1 is 110 pixels thick (60 in a low drawing), less where one key gets most of the attention. */
function pathScaleOf(geometry: Layout, keys: Map<number, Key[][]>): number {
  let largest = 0;
  for (const layer of keys.values()) for (const best of layer) largest = Math.max(largest, best[0]?.share ?? 0);
  const low = geometry.bottom - geometry.top < 200;
  return Math.min(low ? 60 : geometry.folded ? 200 : 110, (low ? 28 : 56) / (largest || 1));
}

function marksOf(trace: Trace, geometry: Layout, target: number, depths: Depths | null): Mark[][] {
  const { numTokens: n, numClasses: k, numLayers, hasClassToken } = trace.config,
    score = (depth: number, t: number): number => depths?.evidence[(depth * n + t) * k + target] ?? 0,
    own = (depth: number): number => (depths?.logits[depth * k + target] ?? 0) - (trace.bias[target] ?? 0);
  let largest = 0;
  for (let depth = 0; depth <= numLayers; depth++) {
    for (let t = 0; t < n; t++) largest = Math.max(largest, Math.abs(score(depth, t)));
    if (hasClassToken) largest = Math.max(largest, Math.abs(own(depth)));
  }
  return geometry.tokenColumns.map((_, depth) => {
    if (depth === 0) return [];
    const rows = Array.from({ length: n }, (_, t) => ({
      y: geometry.ty(t),
      height: geometry.mark,
      tone: score(depth, t) / (largest || 1),
    }));
    return hasClassToken
      ? [{ y: geometry.rowY(0), height: geometry.rowHeight(0), tone: own(depth) / (largest || 1) }, ...rows]
      : rows;
  });
}

/** Which depths have a foot: all, or with folded layers the first, before and after the open layer, and the last. */
function footDepths(geometry: Layout): number[] {
  if (!geometry.folded) return geometry.tokenColumns.map((_, depth) => depth);
  const open = geometry.spans.findIndex((span) => span.open);
  return [...new Set([0, open, open + 1, geometry.layers])].sort((a, b) => a - b);
}

/** Room for a word and its percentage. */
const FOOT_WIDTH = 46;

function feetOf(trace: Trace, geometry: Layout, depths: Depths | null): Foot[] {
  if (!depths || geometry.figure !== "page") return [];
  const k = trace.config.numClasses,
    at = (depth: number) => {
      const column = geometry.tokenColumns[depth];
      return (column?.x ?? 0) + (column?.width ?? 0) / 2;
    };
  const feet = footDepths(geometry).map((depth) => {
    const row = Array.from({ length: k }, (_, c) => depths.probabilities[depth * k + c] ?? 0),
      best = argmax(row);
    return { x: at(depth), label: labelName(trace.labels[best]), probability: row[best] ?? 0 };
  });
  return apart(feet);
}

/** Where the text that leads to the feet ends. */
export const beforeFeet = (feet: readonly Foot[]): number =>
  (feet[0]?.x ?? 0) - Math.max(40, letters(feet[0]?.label ?? "") * 3.8 + 10);

/** Feet may leave their column by so many pixels to keep clear of each other. */
const FOOT_SHIFT = 14;

/** Feet that do not touch: the first and the last stay, those between move a little or are left out. */
function apart(feet: readonly Foot[]): Foot[] {
  const widthOf = (foot: Foot) => Math.max(FOOT_WIDTH, letters(foot.label) * 6.9 + 6),
    overlap = (a: Foot, b: Foot) => Math.max(0, (widthOf(a) + widthOf(b)) / 2 - (b.x - a.x)),
    kept: Foot[] = [],
    last = feet.at(-1);
  for (const foot of feet.slice(0, -1)) {
    const before = kept.at(-1);
    if (!(before && overlap(before, foot) > 0) && last && overlap(foot, last) <= 2 * FOOT_SHIFT) kept.push(foot);
  }
  const before = kept.at(-1);
  if (!last || !before) return last ? [...kept, last] : kept;
  const shift = overlap(before, last) / 2;
  return [...kept.slice(0, -1), { ...before, x: before.x - shift }, { ...last, x: last.x + shift }];
}

type Sums = Pick<Scene, "sums" | "running" | "sumX" | "sumArea">;

function sumsOf(trace: Trace, geometry: Layout, target: number, shown: ShownClasses): Sums {
  const { sum, top, bottom } = geometry;
  if (!sum) return { sums: [], running: runningSum(trace, target), sumX: () => 0, sumArea: "" };
  const all = trace.config.numClasses <= 10 ? trace.labels.map((_, index) => index) : shown.rows,
    indices = [...new Set([...all, target])],
    lists = indices.map((index) => runningSum(trace, index)),
    sumX = linear(extent(lists), [sum.x, sum.x + sum.width]),
    points = (list: Float64Array): Point[] =>
      Array.from(list, (value, t): Point => [
        sumX(value),
        t ? geometry.segment(t - 1)[0] + geometry.segment(t - 1)[1] : top,
      ]),
    running = lists[indices.indexOf(target)] ?? runningSum(trace, target);
  return {
    sums: indices.map((index, i) => ({ index, path: line(points(lists[i] ?? running)) })),
    running,
    sumX,
    sumArea: `${line([...points(running), [sumX(0), bottom], [sumX(0), top]])}Z`,
  };
}

/** From the end of the running sum, or from the class token, to the bar of the explained class. */
function pipeOf(geometry: Layout, { rows }: ClassRows, target: number, { running, sumX }: Sums): string {
  const { classes, pipe, bottom } = geometry,
    row = rows.find(({ index }) => index === target);
  if (!classes || !row) return "";
  const y = row.bar.y + row.bar.height / 2,
    into = `Q${pipe},${y} ${classes.x - 4},${y}`;
  if (!geometry.sum) {
    const from = middleOf(geometry, 0);
    return curve(geometry.pool.x0, from, classes.x - 4, y);
  }
  const end = sumX(running.at(-1) ?? 0);
  return `M${end},${bottom}C${end},${bottom + 14} ${pipe},${bottom + 16} ${pipe},${bottom - 10}V${y + 14}${into}`;
}
