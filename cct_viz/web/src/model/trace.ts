/**
 * The record between the model and the page: everything that one forward pass reveals, as in Python's
 * `cct_viz.inference.trace.Trace`, with the same names. Each drawing is a pure function of one Trace.
 *
 * Letters, used in every comment of this folder: H W pixels of the model's input, h w c cells and channels of a conv
 * stage, N = grid.rows * grid.columns image tokens, M tokens in the encoder (N, or N + 1 with a class token first),
 * D embedding width, A heads, E key width, L layers, K classes. Arrays lie in row-major order.
 */

/** Rows and columns of tokens, as in the last feature map. Token t is row floor(t / columns), column t % columns. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
}

/** What every trace says about its model, wherever it was computed. */
export interface ModelShape {
  /** Height and width of the model's input, in pixels. */
  readonly imageSize: readonly [number, number];
  /** A name in POOLS. */
  readonly pool: string;
  /** A name in BLOCKS. */
  readonly block: string;
  /** With "sigmoid" each class has a probability of its own, and they do not sum to 1. */
  readonly output: "softmax" | "sigmoid";
  readonly numLayers: number;
  readonly numHeads: number;
  /** N */
  readonly numTokens: number;
  /** M */
  readonly sequenceLength: number;
  /** Whether a class token stands before the image tokens; image token t is then row t + 1 of the encoder's arrays. */
  readonly hasClassToken: boolean;
  /** K */
  readonly numClasses: number;
}

/** The output of a conv stage, after its pool: `data[(y * width + x) * channels + c]`. */
export interface FeatureMap {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** (height, width, channels) */
  readonly data: Float32Array;
}

/** Where the cells of a conv stage lie in `pixels`. */
export interface StageGeometry {
  readonly rows: number;
  readonly columns: number;
  /** (rows, columns, 4): y0 x0 y1 x1 of the pixels that a cell depends on, end exclusive, clipped to the image. */
  readonly windows: Int16Array;
  /** (rows, columns, 2): y x of the centre of the window before clipping. */
  readonly centres: Float32Array;
  /** Pixels from a cell to the next: down, right. */
  readonly stride: readonly [number, number];
  /** Height and width of a window before clipping. */
  readonly windowSize: readonly [number, number];
}

/** The photo that is shown: the same crop as `pixels`, usually sharper. */
export interface ShownImage {
  /** A data: or blob: address. */
  readonly address: string;
}

/** Where `image` and `pixels` lie in the picture as it came. */
export interface CropGeometry {
  /** Height and width of the upright picture. */
  readonly originalSize: readonly [number, number];
  /** y0 x0 y1 x1 in it, end exclusive. */
  readonly box: readonly [number, number, number, number];
}

/** Attention of a model whose single heads are not known: each layer fused over its heads, (L, M, M) each. */
export type FusedAttentions = Readonly<Record<Fusion, Float32Array>>;
export type Fusion = "mean" | "max" | "min";

/** The weights between the residual stream and the logits. */
export interface ReadoutWeights {
  /** (D,) each, of the final LayerNorm. */
  readonly gamma: Float32Array;
  readonly beta: Float32Array;
  readonly epsilon: number;
  /** (D, K) */
  readonly head: Float32Array;
  /** (K,) */
  readonly bias: Float32Array;
  /** a (D,) and a0 of the pool scores a . r_t + a0; null for a pool without scores. */
  readonly poolScore: { readonly kernel: Float32Array; readonly bias: number } | null;
  /** (M, D), the positional embedding; null where the model has no such thing. */
  readonly position: Float32Array | null;
}

/** The residual stream and what the branches add to it. A server's payload carries no vectors. */
export interface Vectors {
  /** D */
  readonly embeddingDim: number;
  /** (N, D): the image tokens that enter the encoder, with the positional embedding. */
  readonly tokens: Float32Array;
  /** (L + 1, M, D): stream 0 enters the encoder, stream l leaves block l. */
  readonly stream: Float32Array;
  /** (L, M, D) each: what attention and MLP add. */
  readonly attentionOutputs: Float32Array;
  readonly mlpOutputs: Float32Array;
  /** (M, D): after the final LayerNorm. */
  readonly representation: Float32Array;
  /** (M, D) or (M, 1): pooled_d = sum_t f_td r_td. */
  readonly poolingFactors: Float32Array;
  readonly readoutWeights: ReadoutWeights;
}

/** The maps of one method, as Python's Heatmaps. */
export interface Heatmaps {
  readonly method: string;
  /** What the method shows, in English. */
  readonly caption: string;
  readonly signed: boolean;
  readonly unit: string;
  /** (N,) each. */
  readonly maps: readonly Float32Array[];
}

/** A picture, ready for a model. */
export interface Picture {
  /** (H, W, 3): the model's input before normalisation. */
  readonly pixels: Uint8Array;
  readonly image: ShownImage;
  readonly geometry: CropGeometry;
}

export interface Trace extends Picture {
  /** (N,): tokens at 0 were neither attended to nor pooled; left out: none. */
  readonly mask?: Uint8Array;
  /** Whether the pooling weights were given, instead of following from the tokens. */
  readonly isRepooled?: boolean;
  /** Maps that a server computed for the predicted class, of methods that this page may not know. */
  readonly computed?: readonly Heatmaps[];
  readonly config: ModelShape;
  /** K class names. */
  readonly labels: readonly string[];
  readonly grid: Grid;
  /** One for each conv stage. */
  readonly featureMaps: readonly FeatureMap[];
  /** One for each conv stage; the last one is of the tokens. */
  readonly stages: readonly StageGeometry[];
  /** (N, 4): y0 x0 y1 x1 of the pixels that each token depends on; end exclusive, clipped. */
  readonly receptiveFields: Int16Array;
  /** Null where a server computed the trace. */
  readonly vectors: Vectors | null;
  /** (L, A, M, M): rows are queries and sum to 1. Null where only `fused` is known. */
  readonly attentions: Float32Array | null;
  /** Null where `attentions` are known. */
  readonly fused: FusedAttentions | null;
  /** (L, M): |attention output| / (|attention output| + |stream|), the measured alpha of attention rollout. */
  readonly attentionShares: Float32Array;
  /** (N,) before SeqPool's softmax; null for a pool without scores. */
  readonly poolScores: Float32Array | null;
  /** (N,), summing to 1; null for a pool without weights. */
  readonly poolingWeights: Float32Array | null;
  /** (N, K), logits: each image token's own class scores, without the bias. */
  readonly evidence: Float32Array;
  /**
   * (N, K), logits: what each token adds to each class; with the bias they sum to the logits. Null with a class token.
   */
  readonly contributions: Float32Array | null;
  /** (K,), logits. */
  readonly bias: Float32Array;
  /** (K,) */
  readonly logits: Float32Array;
  /** (K,) */
  readonly probabilities: Float64Array;
  /** (M,), summing to 1: how much of the pooled vector comes from each token. */
  readonly readout: Float32Array;
}
