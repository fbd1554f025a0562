// What a host hands to the page: models and pictures.

import type { Picture } from "../model/trace.ts";

/** A model that the page can run, or that a server runs for it. */
export interface ModelEntry {
  readonly id: string;
  /** A name for people, such as "CCT-2, 64 tokens". */
  readonly title: string;
  /** The same, short enough for the bar: "CCT-2 · 64 tokens". */
  readonly short: string;
  readonly group: "main" | "comparison";
  /** On the validation images; null where nobody measured it. */
  readonly metrics: Metrics | null;
  readonly parameters: number;
  /** Hexadecimal digits of the weights' SHA-256. */
  readonly sha256: string;
  /** Size of the weights in bytes as this page carries them. */
  readonly bytes: number;
  /** What the loader had to assume about the weights, in sentences. */
  readonly assumptions: readonly string[];
  /** (N,) mean pooling weights over the validation images, or null. */
  readonly prior: readonly number[] | null;
  /** Loss and accuracy of each epoch, or null where they were not kept. */
  readonly history: readonly Epoch[] | null;
  /** Part of the network -> map -> whether the map changes with that part at random; null: does not apply. */
  readonly randomisation: Readonly<Record<string, Readonly<Record<string, boolean | null>>>> | null;
  /** The content of config.json. */
  readonly config: string;
  /** The names of its classes. */
  readonly labels: readonly string[];
  /** The content of model.safetensors; null: the model is too large for a page, so the server runs it. */
  readonly weights: (() => Promise<ArrayBuffer>) | null;
  /** Of each conv stage: the address of its sheet of strongest patches, a row for each channel, nine in a row. */
  readonly patches: readonly (string | null)[];
  /** How usual pictures are for it; null where nobody measured that, or where a server runs the model. */
  readonly gauge: Gauge | null;
}

/** What the distance of a pooled vector is compared with, as `Gauge` in Python. */
export interface Gauge {
  /** (D,) of the pooled vectors of validation images. */
  readonly mean: Float32Array;
  /** (D, D): |(v - mean) root| is the distance of v. */
  readonly root: Float32Array;
  /** (101,), rising: the percentiles 0 to 100 of the distance. */
  readonly distances: Float32Array;
  /** The probability that a picture of something unknown is farther away than a validation image; null: not measured. */
  readonly auroc: number | null;
}

/** Shares are from 0 to 1. */
export interface Metrics {
  readonly accuracy: number;
  readonly top5?: number;
  /** Cross-entropy. */
  readonly loss?: number;
  /** Expected calibration error, 15 bins. */
  readonly ece?: number;
  /** Number of validation images. */
  readonly images: number;
  /** (K, K) counts; rows are true classes. */
  readonly confusion?: readonly (readonly number[])[];
  /** By rising probability. */
  readonly bands?: readonly Band[];
}

/** The validation images whose answer had a probability from `low` to below `high`; the last band includes 1. */
export interface Band {
  readonly low: number;
  readonly high: number;
  readonly images: number;
  readonly right: number;
  /** Right answers of 100, a whole number; null without images. */
  readonly of_100: number | null;
}

export interface Epoch {
  readonly accuracy?: number;
  readonly loss?: number;
  readonly val_accuracy?: number;
  readonly val_loss?: number;
}

export interface PictureEntry {
  readonly id: string;
  readonly name: string;
  readonly kind: "photo" | "example" | "own";
  /** The class that people gave it; null where nobody labelled it or where no class fits. */
  readonly truth: string | null;
  /** Whose it is and under which licence, where it is somebody's. */
  readonly credit?: string;
  /** Of an image to show; a data: or blob: address. */
  readonly address: string;
  /** What is decoded: a file, or what a page draws. */
  readonly source: () => Promise<Blob | HTMLCanvasElement>;
  /** What Python gave to the model, where a page is of one trace; else the page prepares the source. */
  readonly prepared?: (() => Promise<Picture>) | undefined;
}

/** The pictures of the classes that a model knows, the visitor's own and those of no class; all of them for a model that
 * knows none of the classes. Python does the same for a whole page (`describe_gallery`). */
export function galleryOf(pictures: readonly PictureEntry[], labels: readonly string[]): readonly PictureEntry[] {
  const known = (picture: PictureEntry): boolean => picture.truth !== null && labels.includes(picture.truth);
  return pictures.some(known) ? pictures.filter((picture) => picture.truth === null || known(picture)) : pictures;
}
