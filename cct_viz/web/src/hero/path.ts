// The path of one token through the drawing, from its window in the photo to its step of the sum: a pure function.

import { attentionRow, strongestKeys } from "./attention.ts";
import type { Box, DeckBox, Flats, Span } from "./layout.ts";
import { cellsOf, receptiveField, type Rectangle } from "./patches.ts";
import type { Scene } from "./scene.ts";
import { band, curve, line, polygon, type Point } from "./shapes.ts";

export interface Cone {
  readonly veil: string;
  readonly edges: string;
}

export interface Stop {
  readonly x: number;
  readonly y: number;
}

export interface TokenPath {
  /** What of the photo is shown of the token, in pixels of the model's input: its window, or its patch beside discs. */
  readonly field: Rectangle;
  /** The window in the photo and in the pixels. */
  readonly frames: readonly Box[];
  /** The window's lines to the right edge of the pixels. */
  readonly leads: string;
  readonly cones: readonly Cone[];
  /** The window in each flat map, and its lines to the map's edges. */
  readonly windows: readonly Box[];
  readonly windowLeads: string;
  /** The cell in the front sheet of the deck, and the needle through the sheets behind it. */
  readonly cell: string;
  readonly needle: string;
  /** From the cell or the photo to the token column. */
  readonly strand: string;
  /** Attention that the token pays in the open layers, as thick as its share. */
  readonly attended: readonly string[];
  /** The residual stream: dotted beside open attention, a line through folded layers. */
  readonly stream: string;
  readonly folded: string;
  /** The upper left corners of the patches on the path. */
  readonly beads: readonly Stop[];
  /** The class token's attention to this token in the last layer; null where there is no class token or it is folded. */
  readonly read: { readonly path: string; readonly share: number; readonly x: number; readonly y: number } | null;
  /** The ribbon into the pool, its segment, its bar of evidence, its step of the sum; null with a class token. */
  readonly pooled: PooledPath | null;
}

export interface PooledPath {
  readonly positive: boolean;
  readonly ribbon: string;
  readonly segment: Box;
  readonly bar: Box;
  /** On how many lines factor x length fits in the bar; 0: it does not. */
  readonly lines: 0 | 1 | 2;
  readonly step: Box | null;
  readonly label: { readonly x: number; readonly y: number; readonly anchor: "start" | "end" } | null;
  readonly lead: string;
}

/** Keys of the lit token that are drawn. */
const KEYS = { open: 10, folded: 6 } as const;

export function pathOf(scene: Scene, token: number): TokenPath {
  const { layout } = scene,
    bead = layout.bead,
    middle = layout.ty(token) + layout.pitch / 2,
    beadY = beadYOf(scene, token),
    left = leftOf(scene, token, beadY + bead / 2),
    beads = beadXs(scene).map((x) => ({ x: x - bead / 2, y: beadY }));
  return {
    ...left,
    attended: layout.spans
      .filter((span) => span.open)
      .flatMap((span) => attendedIn(scene, span, token).map(({ path }) => path)),
    ...streamOf(scene, beadY + bead / 2, middle),
    beads,
    read: readOf(scene, token),
    pooled: pooledOf(scene, token),
  };
}

const centre = (column: { x: number; width: number } | undefined): number => (column ? column.x + column.width / 2 : 0);

/** Where patches sit: the tokens, both ends of open attention, the last column; not closer than they are wide. */
function beadXs({ layout }: Scene): number[] {
  const columns = layout.tokenColumns;
  if (!layout.folded) return columns.map(centre);
  const open = layout.spans.findIndex((span) => span.open),
    wanted = [open, open + 1, 0, layout.layers],
    xs: number[] = [];
  for (const depth of wanted) {
    const x = centre(columns[depth]);
    if (xs.every((other) => Math.abs(other - x) >= layout.bead)) xs.push(x);
  }
  return xs.sort((a, b) => a - b);
}

/** A rectangle of the picture in the box that shows the picture. */
export const within = (box: Box, [y0, x0, y1, x1]: Rectangle, [height, width]: readonly [number, number]): Box => ({
  x: box.x + (x0 / width) * box.width,
  y: box.y + (y0 / height) * box.height,
  width: ((x1 - x0) / width) * box.width,
  height: ((y1 - y0) / height) * box.height,
});

const cone = (x0: number, a0: number, b0: number, x1: number, a1: number, b1: number): Cone => ({
  veil: band(x0, a0, b0, x1, a1, b1),
  edges: curve(x0, a0, x1, a1) + curve(x0, b0, x1, b1),
});

/** A cell of a sheet as a parallelogram. */
function cellOf(deck: DeckBox, sheet: number, [y0, x0, y1, x1]: Rectangle): Point[] {
  const at = (u: number, v: number): Point => [
    deck.x + sheet * deck.step + deck.width * u,
    deck.y - deck.shear * u + deck.height * v,
  ];
  return [at(x0, y0), at(x1, y0), at(x1, y1), at(x0, y1)];
}

type LeftPath = Pick<
  TokenPath,
  "field" | "frames" | "leads" | "cones" | "windows" | "windowLeads" | "cell" | "needle" | "strand"
>;

function leftOf(scene: Scene, token: number, beadMiddle: number): LeftPath {
  const { trace, layout } = scene,
    size = trace.config.imageSize,
    // Beside discs on the patches the frame is the patch's.
    field = layout.figure === "pool" ? (scene.boxes[token] ?? [0, 0, 0, 0]) : receptiveField(trace, token),
    source = layout.pixels ?? layout.photo,
    frame = within(source, field, size),
    frames = layout.pixels ? [within(layout.photo, field, size), frame] : [within(layout.photo, field, size)],
    edge = source.x + source.width,
    column = centre(layout.tokenColumns[0]) - layout.bead / 2,
    none = { cones: [], windows: [], windowLeads: "", cell: "", needle: "" };
  if (!layout.deck) {
    const from = frame.y + frame.height / 2,
      leads = line([
        [frame.x + frame.width, from],
        [edge, from],
      ]);
    return { ...none, field, frames, leads, strand: curve(edge, from, column, beadMiddle) };
  }
  const right = frame.x + frame.width,
    leads = [frame.y, frame.y + frame.height].map((y) => `M${right},${y}H${edge}`).join(""),
    { rows, columns } = trace.grid,
    row = Math.floor(token / columns),
    at: Rectangle = [row / rows, (token % columns) / columns, (row + 1) / rows, ((token % columns) + 1) / columns],
    back = cellOf(layout.deck, 0, at),
    front = cellOf(layout.deck, layout.deck.sheets - 1, at),
    xs = (points: Point[]) => (points[0][0] + points[1][0]) / 2,
    middle = (front[0][1] + front[2][1]) / 2,
    maps = layout.flats.map((flats, stage) => windowsIn(scene, flats, stage, token));
  return {
    field,
    frames,
    leads,
    cones: conesOf({ x: edge, tops: [frame.y], height: frame.height }, maps, back),
    windows: maps.flatMap((map) => map.boxes),
    windowLeads: maps.flatMap((map) => map.boxes.map((box) => acrossMap(map, box))).join(""),
    cell: polygon(front),
    needle: line([
      [xs(back), middle],
      [xs(front), middle],
    ]),
    strand: curve(xs(front) + 2, middle, column, beadMiddle),
  };
}

interface Windows {
  x: number;
  width: number;
  boxes: Box[];
}

function windowsIn({ trace }: Scene, flats: Flats, stage: number, token: number): Windows {
  const map = trace.stages[stage],
    cells = cellsOf(trace, stage, token),
    size = [map?.rows ?? 1, map?.columns ?? 1] as const;
  return {
    x: flats.x,
    width: flats.width,
    boxes: flats.tops.map((y) => within({ x: flats.x, y, width: flats.width, height: flats.height }, cells, size)),
  };
}

const acrossMap = ({ x, width }: Windows, box: Box): string =>
  `M${x},${box.y}H${x + width}M${x},${box.y + box.height}H${x + width}`;

/** From the picture to each map, from each map to each of the next stage, and into the deck's cell. */
function conesOf(
  source: { x: number; tops: number[]; height: number },
  maps: readonly Windows[],
  cell: readonly Point[],
): Cone[] {
  const cones: Cone[] = [],
    [corner, , , foot] = cell,
    target = corner && foot ? { x: corner[0], top: corner[1], bottom: foot[1] } : { x: 0, top: 0, bottom: 0 };
  let from = source.tops.map((y) => ({ x: source.x, top: y, bottom: y + source.height }));
  for (const { x, width, boxes } of maps) {
    for (const a of from) for (const box of boxes) cones.push(cone(a.x, a.top, a.bottom, x, box.y, box.y + box.height));
    from = boxes.map((box) => ({ x: x + width, top: box.y, bottom: box.y + box.height }));
  }
  for (const a of from) cones.push(cone(a.x, a.top, a.bottom, target.x, target.top, target.bottom));
  return cones;
}

/** Where the patch of the lit token sits beside its row. */
function beadYOf({ layout }: Scene, token: number): number {
  const middle = layout.ty(token) + layout.pitch / 2;
  return Math.min(layout.bottom - layout.bead, Math.max(layout.top, middle - layout.bead / 2));
}

export interface Attended {
  /** Encoder row of the key. */
  readonly key: number;
  readonly path: string;
  /** The middle of the ribbon, from the key to the token. */
  readonly from: Stop;
  readonly to: Stop;
}

/** The strongest keys of the token: each as thick as its share where it starts, all together as high as the patch. */
export function attendedIn(scene: Scene, { layer, x0 }: Span, token: number): Attended[] {
  const { layout, trace, head, pathScale } = scene,
    bead = layout.bead,
    count = layout.folded ? KEYS.folded : KEYS.open,
    keys = strongestKeys(attentionRow(trace, layer, head, layout.rowOf(token)), count).sort((a, b) => a.row - b.row),
    total = keys.reduce((sum, key) => sum + key.share, 0) || 1,
    x1 = centre(layout.tokenColumns[layer + 1]) - bead / 2 + 2;
  let y = beadYOf(scene, token) + 2;
  return keys.map(({ row, share }) => {
    const half = (share * pathScale) / 2,
      middle = layout.rowY(row) + layout.rowHeight(row) / 2,
      from = Math.min(layout.bottom - half, Math.max(layout.top + half, middle)),
      height = (share / total) * (bead - 4),
      path = band(x0, from - half, from + half, x1, y, y + height);
    y += height;
    return { key: row, path, from: { x: x0, y: from }, to: { x: x1, y: y - height / 2 } };
  });
}

function streamOf({ layout }: Scene, beadMiddle: number, middle: number): Pick<TokenPath, "stream" | "folded"> {
  const half = layout.bead / 2;
  let stream = "",
    folded = "";
  for (const { layer, open } of layout.spans) {
    const from = centre(layout.tokenColumns[layer]),
      to = centre(layout.tokenColumns[layer + 1]);
    if (open) stream += `M${from + half},${beadMiddle}H${to - half}`;
    else folded += `M${from},${middle}H${to}`;
  }
  return { stream, folded };
}

function readOf({ layout, trace, head }: Scene, token: number): TokenPath["read"] {
  const span = layout.spans.at(-1);
  if (!layout.classToken || !span?.open) return null;
  const share = attentionRow(trace, span.layer, head, 0)[layout.rowOf(token)] ?? 0,
    from = layout.ty(token) + layout.pitch / 2,
    to = layout.rowY(0) + layout.rowHeight(0) / 2,
    half = Math.max(0.75, share * 60);
  return {
    share,
    path: band(span.x0, from - half, from + half, span.x1, to - half, to + half),
    x: span.x1 + 26,
    y: Math.abs(from - to) < 30 ? to + 36 : from, // clear of the pipe
  };
}

const LABEL = { height: 16, width: 88, short: 56, step: 46 } as const;

/** Lines of 13 pixels, or larger by `scale`, that a label has in a bar. */
function linesIn(width: number, height: number, scale: number): 0 | 1 | 2 {
  if (height > LABEL.height * scale && width > LABEL.width * scale) return 1;
  return height > 2.4 * LABEL.height * scale && width > LABEL.short * scale ? 2 : 0;
}

export function pooledOf(scene: Scene, token: number): PooledPath | null {
  const { layout, pooling, lengthX, sumX, running } = scene;
  if (!pooling || !layout.evidence) return null;
  const [y, height] = layout.segment(token),
    length = pooling.lengths[token] ?? 0,
    tall = Math.max(2, height),
    { x0, x1, bar } = layout.pool,
    top = layout.ty(token),
    from = Math.min(lengthX(0), lengthX(length)),
    width = Math.max(1, Math.abs(lengthX(length) - lengthX(0))),
    big = layout.bead > 40 ? 1.6 : 1,
    made = {
      positive: (pooling.contributions[token] ?? 0) >= 0,
      ribbon: band(x0, top - 1, top + layout.pitch + 1, x1, y, y + Math.max(1.5, height)),
      segment: { x: x1 - 1, y, width: bar + 2, height: tall },
      bar: { x: from, y, width, height: tall },
      lines: layout.bead < 26 ? (0 as const) : linesIn(width, height, big),
    };
  if (!layout.sum) return { ...made, step: null, label: null, lead: "" };
  const a = sumX(running[token] ?? 0),
    b = sumX(running[token + 1] ?? 0),
    [low, high] = [Math.min(a, b), Math.max(a, b)],
    atLeft = high + LABEL.step * big > layout.sum.x + layout.sum.width + (layout.classes ? 14 : 8),
    middle = y + height / 2,
    end = lengthX(Math.max(0, length));
  return {
    ...made,
    step: { x: low, y, width: Math.max(2, high - low), height: tall },
    label: { x: atLeft ? low - 7 : high + 7, y: middle, anchor: atLeft ? "end" : "start" },
    lead: atLeft || low - 1 <= end ? "" : `M${end},${middle}H${low - 1}`,
  };
}
