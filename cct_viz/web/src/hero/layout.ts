// The geometry of the one drawing: where everything lies, as one pure function of its size, its tokens and its layers.
//
// Units are CSS pixels, y downwards. Encoder row m is a token of the encoder: the image token t, or with a class token
// the class token at m = 0 and image token t at m = t + 1.

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The maps of a conv stage before the last one: three of them, one above the other. */
export interface Flats {
  readonly x: number;
  readonly width: number;
  readonly height: number;
  /** The upper edge of each map. */
  readonly tops: readonly number[];
}

/** The maps of the last conv stage as sheets in a row, the right edge raised by `shear` pixels. */
export interface DeckBox {
  readonly x: number;
  /** Of one sheet. */
  readonly width: number;
  readonly height: number;
  /** The upper left corner of each sheet. */
  readonly y: number;
  readonly shear: number;
  readonly sheets: number;
  /** From one sheet to the next. */
  readonly step: number;
}

export interface Column {
  readonly x: number;
  readonly width: number;
}

/** Attention of layer `layer`, from column `layer` to column `layer + 1`. */
export interface Span {
  readonly layer: number;
  readonly x0: number;
  readonly x1: number;
  readonly open: boolean;
}

export type Stage = "pixels" | "convolution" | "attention" | "pool" | "evidence" | "sum" | "classes";

export interface Head {
  readonly stage: Stage;
  /** The layer of an attention head; null for the others and where one head stands for all layers. */
  readonly layer: number | null;
  readonly x: number;
  readonly width: number;
}

/** "page": everything. "compact": everything but the pixels, low. "pool": photo, tokens, pool and evidence. */
export type Figure = "page" | "compact" | "pool";

export interface LayoutOptions {
  readonly rows: number;
  readonly columns: number;
  /** Height over width of the model's input. */
  readonly aspect?: number;
  /** Number of conv stages. */
  readonly stages?: number;
  readonly classToken?: boolean;
  /** The layer that is open where the others are folded; out of range or left out: see `defaultOpen`. */
  readonly open?: number | null;
  /** (N,) the share of each token in the pool, summing to 1; left out: equal shares. */
  readonly shares?: ArrayLike<number> | null;
  readonly figure?: Figure;
  /** Scale of the figure "pool": 1 on a phone, about 2 for a projector. */
  readonly scale?: number;
  /** Whether the figure "pool" has the running sum. */
  readonly sum?: boolean;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly figure: Figure;
  /** The upper and lower edge of the columns. */
  readonly top: number;
  readonly bottom: number;
  readonly rows: number;
  readonly columns: number;
  readonly tokens: number;
  readonly layers: number;
  readonly classToken: boolean;
  readonly photo: Box;
  /** The picture as the model gets it; null where there is no room. */
  readonly pixels: Box | null;
  readonly flats: readonly Flats[];
  readonly deck: DeckBox | null;
  /** From the deck or the photo to the token column. */
  readonly fan: { readonly x0: number; readonly x1: number; readonly top: number; readonly height: number };
  /** One for the tokens and one after each layer. */
  readonly tokenColumns: readonly Column[];
  readonly spans: readonly Span[];
  readonly folded: boolean;
  /** Height of a token's row, and of what is drawn of it. */
  readonly pitch: number;
  readonly mark: number;
  /** The upper edge of encoder row m. */
  readonly rowY: (m: number) => number;
  readonly rowHeight: (m: number) => number;
  /** The encoder row of image token t. */
  readonly rowOf: (t: number) => number;
  /** The upper edge of image token t. */
  readonly ty: (t: number) => number;
  /** From the last column to the left edge of the pool bar; with a class token, to the pipe. */
  readonly pool: { readonly x0: number; readonly x1: number; readonly bar: number };
  /** Null with a class token: the score does not split into tokens. */
  readonly evidence: { readonly x: number; readonly width: number } | null;
  readonly sum: { readonly x: number; readonly width: number } | null;
  /** Where the pipe to the class bar rises. */
  readonly pipe: number;
  readonly classes: { readonly x: number; readonly width: number } | null;
  /** Upper edge and height of image token t in the pool bar. */
  readonly segment: (t: number) => readonly [number, number];
  readonly heads: readonly Head[];
  /** From the bottom to the base line of the axis. */
  readonly axis: number;
  /** Side of the patch on the path. */
  readonly bead: number;
}

/** Models up to this many layers have all of them open. */
export const MOST_OPEN = 3;
const POOL_BAR = 8;
const SHEETS = 6;
/** Between photo and pixels. */
const MOST_BETWEEN = 64;
/** The running sum's head needs so much. */
const LEAST_SUM = 84;

/** The layer that is open at first where the others are folded; with a class token the last, which it reads. */
export function defaultOpen(layers: number, classToken: boolean): number {
  return classToken ? layers - 1 : Math.min(layers - 1, Math.round(0.6 * layers));
}

const mix = (a: number, b: number, share: number): number => a + (b - a) * share;
const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** The gap between two rows of the grid. */
function rowGap(rows: number, height: number): number {
  const gap = rows <= 10 ? 3 : rows <= 20 ? 1.5 : 0.5;
  return height < 200 ? Math.min(gap, 1) : gap;
}

interface Rows {
  pitch: number;
  mark: number;
  rowY: (m: number) => number;
  rowHeight: (m: number) => number;
  rowOf: (t: number) => number;
}

/** The rows of the encoder between `top` and `top + height`; a class token has a slot of its own above. */
function rowsOf(rows: number, columns: number, top: number, height: number, classToken: boolean): Rows {
  const gap = rowGap(rows, height),
    slot = classToken ? Math.max(height < 200 ? 6 : 12, height / (rows * columns)) : 0,
    space = classToken ? 6 : 0,
    first = top + slot + space,
    pitch = (height - slot - space - gap * (rows - 1)) / (rows * columns),
    rowOf = (t: number) => t + (classToken ? 1 : 0);
  return {
    pitch,
    mark: Math.max(pitch * 0.9, pitch - 0.8),
    rowOf,
    rowY: (m) => {
      const t = classToken ? m - 1 : m;
      return t < 0 ? top : first + t * pitch + Math.floor(t / columns) * gap;
    },
    rowHeight: (m) => (classToken && m === 0 ? slot : pitch),
  };
}

/** Edges (N + 1) of stacked shares between `top` and `top + height`. */
export function stack(shares: ArrayLike<number>, top: number, height: number): Float64Array {
  const edges = new Float64Array(shares.length + 1);
  let total = 0;
  for (let t = 0; t < shares.length; t++) total += shares[t] ?? 0;
  edges[0] = top;
  for (let t = 0; t < shares.length; t++) edges[t + 1] = (edges[t] ?? 0) + ((shares[t] ?? 0) / (total || 1)) * height;
  return edges;
}

interface Left {
  photo: Box;
  pixels: Box | null;
  flats: Flats[];
  deck: DeckBox | null;
  /** Where the fan starts. */
  x: number;
  fan: number;
  fanTop: number;
  fanHeight: number;
}

/** A box of `aspect` that fits a square of `side`. */
const fitted = (side: number, aspect: number): { width: number; height: number } => ({
  width: aspect > 1 ? side / aspect : side,
  height: aspect > 1 ? side : side * aspect,
});

/** Photo, pixels, flat maps and deck. `wide` is 0 at 1216 pixels and 1 at 1376. */
function leftOf(width: number, top: number, height: number, wide: number, options: Required<LayoutOptions>): Left {
  const compact = options.figure === "compact",
    narrow = width < 1000,
    side = compact
      ? height
      : Math.min(mix(mix(96, 159, clamp((width - 700) / 516, 0, 1)), 230, wide), Math.floor((height - 22) / 2)),
    photoSize = fitted(side, options.aspect),
    gap = Math.min(MOST_BETWEEN, height - 2 * photoSize.height),
    above = compact ? (height - photoSize.height) / 2 : (height - 2 * photoSize.height - gap) / 2,
    photo = { x: 0, y: top + above, ...photoSize },
    pixels = compact ? null : { x: 0, y: photo.y + photoSize.height + gap, ...photoSize },
    numFlats = narrow ? 0 : Math.min(width < 1200 ? 1 : 2, options.stages - 1),
    shrink = numFlats > 1 ? 0.78 : 1,
    side1 = shrink * (compact ? Math.min(44, height * 0.27) : Math.min(mix(66, 86, wide), height * 0.2)),
    flatSize = fitted(side1, options.aspect),
    flats: Flats[] = [],
    centres = compact ? [0.16, 0.5, 0.84] : [0.15, 0.48, 0.81].map((share) => mix(share - 0.035, share, wide));
  let x = photoSize.width + (narrow ? 14 : compact ? 32 : mix(26, 34, wide));
  for (let i = 0; i < numFlats; i++) {
    flats.push({ x, ...flatSize, tops: centres.map((share) => top + height * share - flatSize.height / 2) });
    x += flatSize.width + shrink * (compact ? 20 : mix(22, 30, wide));
  }
  const sheet = narrow ? 30 : compact ? 46 : mix(44, 56, wide),
    step = narrow ? 5 : compact ? 6 : mix(8, 10, wide),
    deckHeight = compact ? height * 0.72 : Math.min(240, height * 0.46),
    shear = sheet * 0.34,
    y = top + height * 0.5 - deckHeight / 2 + shear / 2,
    deck = { x, width: sheet, height: deckHeight, y, shear, sheets: SHEETS, step };
  x += sheet + (SHEETS - 1) * step;
  const fan = narrow ? 26 : compact ? 60 : mix(42, 52, wide);
  return { photo, pixels, flats, deck, x, fan, fanTop: y - shear, fanHeight: deckHeight };
}

/** The photo alone, as large as the columns are high. */
function photoOf(top: number, height: number, scale: number, width: number, aspect: number): Left {
  const size = fitted(Math.min(height, width * 0.55), aspect),
    photo = { x: 0, y: top, ...size };
  return {
    photo,
    pixels: null,
    flats: [],
    deck: null,
    x: size.width,
    fan: 22 * scale,
    fanTop: top,
    fanHeight: size.height,
  };
}

interface Shares {
  /** Of one open span. */
  span: number;
  pool: number;
  evidence: number;
}

/** How much of the room right of the tokens each part gets; the running sum gets what is left. */
function sharesOf(layers: number, classToken: boolean): Shares {
  if (classToken) return { span: layers > MOST_OPEN ? 0.5 : 0.78 / Math.max(1, layers), pool: 0.2, evidence: 0 };
  if (layers > MOST_OPEN) return { span: layers > 8 ? 0.24 : 0.3, pool: 0.132, evidence: 0.258 };
  const span = [0, 0.34, 0.232, 0.168][layers] ?? 0.168;
  return layers > 2 ? { span, pool: 0.12, evidence: 0.235 } : { span, pool: 0.132, evidence: 0.258 };
}

interface Margins {
  top: number;
  foot: number;
}

function marginsOf(figure: Figure, scale: number): Margins {
  if (figure === "pool") return { top: 13 * scale * 1.7, foot: 13 * scale * 1.7 };
  return figure === "compact" ? { top: 38, foot: 30 } : { top: 70, foot: 46 };
}

/** The columns after each layer and the attention between them, from the right edge of the tokens. */
function columnsOf(
  start: number,
  tokenWidth: number,
  layers: number,
  openLayer: number,
  span: number,
  narrow: boolean,
): { columns: Column[]; spans: Span[]; x: number } {
  const folded = layers > MOST_OPEN,
    foldedPitch = (layers > 8 ? 12 : 18) - (narrow ? 5 : 0),
    width = folded ? foldedPitch - (narrow ? 3 : 5) : Math.round(tokenWidth * 0.7),
    columns: Column[] = [{ x: start, width: tokenWidth }],
    spans: Span[] = [];
  let x = start + tokenWidth;
  for (let layer = 0; layer < layers; layer++) {
    const open = !folded || layer === openLayer,
      x0 = x;
    x += open ? span - width : foldedPitch - width;
    spans.push({ layer, x0, x1: x, open });
    columns.push({ x, width });
    x += width;
  }
  return { columns, spans, x };
}

function complete(options: LayoutOptions, layers: number): Required<LayoutOptions> {
  const classToken = options.classToken ?? false,
    open = options.open;
  return {
    rows: options.rows,
    columns: options.columns,
    aspect: options.aspect ?? 1,
    stages: options.stages ?? 1,
    classToken,
    open: open !== undefined && open !== null && open >= 0 && open < layers ? open : defaultOpen(layers, classToken),
    shares: options.shares ?? null,
    figure: options.figure ?? "page",
    scale: options.scale ?? 1,
    sum: options.sum ?? false,
  };
}

/**
 * The geometry of the drawing.
 *
 * @param width, height - of the whole drawing, with heads and feet
 * @param tokens - N image tokens; rows * columns
 * @param layers - L
 * @throws {RangeError} the grid does not have N tokens
 */
export function layout(width: number, height: number, tokens: number, layers: number, given: LayoutOptions): Layout {
  const options = complete(given, layers),
    { rows, columns, classToken, figure, scale } = options;
  if (rows * columns !== tokens) throw new RangeError(`a grid of ${rows} x ${columns} does not have ${tokens} tokens`);
  const margins = marginsOf(figure, scale),
    top = margins.top,
    inner = Math.max(1, height - margins.top - margins.foot),
    bottom = top + inner,
    wide = clamp((width - 1216) / 160, 0, 1),
    pool = figure === "pool",
    left = pool ? photoOf(top, inner, scale, width, options.aspect) : leftOf(width, top, inner, wide, options),
    tokenWidth = pool ? 12 * scale : width < 1000 ? 14 : Math.round(mix(18, 22, wide)),
    start = left.x + left.fan,
    classesWidth = pool ? 0 : width < 1000 ? 118 : figure === "compact" ? 170 : mix(170, 176, wide),
    gapSum = pool ? 14 * scale : mix(16, 20, wide),
    gapPipe = pool ? 0 : mix(34, 40, wide),
    rest = width - start - tokenWidth - classesWidth - gapSum - gapPipe - POOL_BAR - 10,
    shares = sharesOf(layers, classToken),
    foldedLayers = layers > MOST_OPEN,
    {
      columns: tokenColumns,
      spans,
      x: columnsEnd,
    } = pool
      ? { columns: [{ x: start, width: tokenWidth }], spans: [], x: start + tokenWidth }
      : columnsOf(start, tokenWidth, layers, options.open ?? 0, rest * shares.span, width < 1000),
    bar = pool ? Math.max(POOL_BAR, 5 * scale) : POOL_BAR,
    right = width - classesWidth,
    poolEnd = classToken
      ? right - gapPipe
      : columnsEnd + (pool ? (width - columnsEnd) * (options.sum ? 0.26 : 0.3) : rest * shares.pool),
    evidenceRoom = Math.max(60, right - gapPipe - LEAST_SUM - gapSum - (poolEnd + bar + 10)),
    evidence = classToken
      ? null
      : evidenceOf(width, poolEnd + bar + 10, Math.min(rest * shares.evidence, evidenceRoom), options),
    sumX = (evidence ? evidence.x + evidence.width : 0) + gapSum,
    sum = classToken || (pool && !options.sum) ? null : { x: sumX, width: Math.max(24, right - gapPipe - sumX) },
    edges = stack(options.shares ?? new Float64Array(tokens).fill(1 / tokens), top, inner),
    rowsLayout = rowsOf(rows, columns, top, inner, classToken);
  const made = {
    width,
    height,
    figure,
    top,
    bottom,
    rows,
    columns,
    tokens,
    layers: pool ? 0 : layers,
    classToken,
    photo: left.photo,
    pixels: left.pixels,
    flats: left.flats,
    deck: left.deck,
    fan: { x0: left.x, x1: start, top: left.fanTop, height: left.fanHeight },
    tokenColumns,
    spans,
    folded: foldedLayers && !pool,
    ...rowsLayout,
    ty: (t: number) => rowsLayout.rowY(rowsLayout.rowOf(t)),
    pool: { x0: columnsEnd, x1: poolEnd, bar },
    evidence,
    sum,
    pipe: right - mix(16, 20, wide),
    classes: pool ? null : { x: right, width: classesWidth },
    segment: (t: number) => [edges[t] ?? top, (edges[t + 1] ?? top) - (edges[t] ?? top)] as const,
    axis: pool ? 16 * scale : 20,
    bead: pool ? 22 * scale : figure === "compact" ? 20 : 26,
  };
  return { ...made, heads: pool ? [] : headsOf(made) };
}

function evidenceOf(width: number, x: number, share: number, options: Required<LayoutOptions>): Column {
  if (options.figure !== "pool") return { x, width: share };
  return { x, width: options.sum ? (width - x) * 0.56 : width - x };
}

type Unheaded = Omit<Layout, "heads">;

/** The heads above the stages; each is as wide as its stage or as far as the next head. */
function headsOf(made: Unheaded): Head[] {
  const { spans, tokenColumns, pool, evidence, sum, classes } = made,
    starts: { stage: Stage; layer: number | null; x: number }[] = [{ stage: "pixels", layer: null, x: 0 }];
  const add = (stage: Stage, x: number, layer: number | null = null): void => void starts.push({ stage, layer, x });
  add("convolution", made.flats[0]?.x ?? made.deck?.x ?? made.photo.width + 20);
  const tokens = tokenColumns[0];
  if (made.folded) add("attention", (tokens?.x ?? 0) + (tokens?.width ?? 0) + 10);
  else for (const { x0, layer } of spans) add("attention", x0 + 4, layer);
  add("pool", pool.x0 + 4);
  if (evidence) add("evidence", pool.x1 + pool.bar + 6);
  if (sum) add("sum", sum.x + 2);
  if (classes) add("classes", classes.x);
  return starts.map((head, i) => ({ ...head, width: Math.max(40, (starts[i + 1]?.x ?? made.width) - head.x - 8) }));
}

/** Maps `from` linearly on `to`; a constant where `from` has no length. */
export function linear(from: readonly [number, number], to: readonly [number, number]): (value: number) => number {
  const slope = from[1] === from[0] ? 0 : (to[1] - to[0]) / (from[1] - from[0]);
  return (value) => to[0] + (value - from[0]) * slope;
}
