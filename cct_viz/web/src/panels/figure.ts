// A figure as one SVG text: the photo, a map over it with its scale, and the best classes. It needs nothing from outside.

import { descending, extent } from "../core/maths.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { percent, scaleEnd } from "../i18n/numbers.ts";
import type { Trace } from "../model/trace.ts";
import { stepOf, tableOf } from "../widgets/palette.ts";

export interface FigureOptions {
  /** (N,) */
  readonly values: ArrayLike<number> & Iterable<number>;
  readonly signed: boolean;
  readonly title: string;
  readonly target: number;
  readonly model: string;
  /** Whether the photo is a few pixels, shown as squares. */
  readonly pixelated: boolean;
}

const SIDE = 320;
const GAP = 24;
const TOP = 72;
const BARS = 5;
const STEPS = 32;

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] ?? sign);

const colourOf = (step: number, signed: boolean): string => {
  const table = tableOf(signed ? "signed" : "share", false);
  return `rgb(${table[3 * step]},${table[3 * step + 1]},${table[3 * step + 2]})`;
};

export function figureOf(trace: Trace, options: FigureOptions): string {
  const { values, signed, title, target, model, pixelated } = options;
  const { rows, columns } = trace.grid;
  const height = (SIDE * trace.config.imageSize[0]) / trace.config.imageSize[1];
  const limit = extent(values);
  const end = signed ? scaleEnd : (value: number): string => percent(value);
  const text = (x: number, y: number, words: string, more = ""): string =>
    `<text x="${x}" y="${y}" ${more}>${escape(words)}</text>`;
  const photo = (x: number): string =>
    `<image href="${trace.image.address}" x="${x}" y="${TOP}" width="${SIDE}" height="${height}" preserveAspectRatio="none"${pixelated ? ' style="image-rendering:pixelated"' : ""}/>`;
  const left = SIDE + GAP;
  const cells = Array.from(values, (value, i) => {
    const x = left + ((i % columns) * SIDE) / columns;
    const y = TOP + (Math.floor(i / columns) * height) / rows;
    const step = stepOf(value, limit, signed ? "signed" : "share");
    return `<rect x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${(SIDE / columns + 0.3).toFixed(1)}" height="${(height / rows + 0.3).toFixed(1)}" fill="${colourOf(step, signed)}"/>`;
  });
  const scale = Array.from(
    { length: STEPS },
    (_, i) =>
      `<rect x="${left + (i * SIDE) / STEPS}" y="${TOP + height + 12}" width="${SIDE / STEPS + 0.3}" height="8" fill="${colourOf(Math.round((255 * i) / (STEPS - 1)), signed)}"/>`,
  );
  const bars = descending(trace.probabilities)
    .slice(0, BARS)
    .map((c, i) => {
      const y = TOP + height + 64 + 24 * i;
      const colour = c === target ? "#c2410c" : "#5b584f";
      return `${text(0, y, labelName(trace.labels[c]), `fill="${colour}"${c === target ? ' font-weight="600"' : ""}`)}<rect x="110" y="${y - 9}" width="${Math.max(2, 380 * trace.probabilities[c]).toFixed(1)}" height="8" rx="4" fill="${colour}"/>${text(2 * SIDE + GAP, y, percent(trace.probabilities[c]), 'text-anchor="end"')}`;
    });
  const [width, tall] = [2 * SIDE + GAP, TOP + height + 64 + 24 * BARS];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width + 48}" height="${tall + 32}" viewBox="-24 -8 ${width + 48} ${tall + 32}" font-family="Inter, system-ui, sans-serif" font-size="13" fill="#1b1a17">`,
    `<rect x="-24" y="-8" width="${width + 48}" height="${tall + 32}" fill="#fcfbf8"/>`,
    text(
      0,
      24,
      t("figure.title", { title, label: labelName(trace.labels[target]) }),
      'font-size="20" font-weight="650"',
    ),
    text(0, 48, model, 'fill="#5b584f"'),
    photo(0),
    photo(left),
    `<g opacity="0.78">${cells.join("")}</g>`,
    scale.join(""),
    text(left, TOP + height + 36, signed ? end(-limit) : "0", 'fill="#5b584f"'),
    text(
      left + SIDE,
      TOP + height + 36,
      `${end(limit)}${signed ? ` ${t("unit.logits")}` : ""}`,
      'fill="#5b584f" text-anchor="end"',
    ),
    bars.join(""),
    "</svg>",
  ].join("\n");
}
