// What Python puts into a page as JSON: models and pictures, as cct_viz/web/html.py describes them.

import { bytesOf } from "../core/arrays.ts";
import type { ModelEntry, PictureEntry } from "../core/entries.ts";
import { problem } from "../core/problem.ts";
import type { Picture } from "../model/trace.ts";
import { readPixels } from "../picture/canvas.ts";

/** Where a model's weights are: base64 in an element of the page, or a file of its server; null: on the server alone. */
type Weights = { readonly element: string } | { readonly address: string };
export type CarriedModel = Omit<ModelEntry, "weights" | "labels"> & { readonly weights: Weights | null };
/** `prepared` as Python made it for the model; `pixels` is the address of a PNG. */
export type CarriedPicture = Omit<PictureEntry, "source" | "prepared"> & {
  readonly prepared?: {
    readonly pixels: string;
    readonly original: Picture["geometry"]["originalSize"];
    readonly crop: Picture["geometry"]["box"];
  };
};

/** The text of an element of the page. @throws {Error} the page is cut short */
function textOf(id: string): string {
  const text = document.getElementById(id)?.textContent;
  if (!text) throw problem("weights.page");
  return text;
}

/** The JSON in an element of the page. @throws {Error} the page is cut short */
export const carried = <T>(id: string): T => JSON.parse(textOf(id)) as T;

export const openModels = (models: readonly CarriedModel[]): ModelEntry[] =>
  models.map(({ weights, ...rest }) => ({
    ...rest,
    labels: (JSON.parse(rest.config) as { labels: string[] }).labels,
    weights: weights && (() => read(weights)),
  }));

export const openPictures = (pictures: readonly CarriedPicture[]): PictureEntry[] =>
  pictures.map(({ prepared, ...picture }) => ({
    ...picture,
    source: () => Promise.resolve(blobOf(picture.address)),
    prepared: prepared && (() => openPrepared(picture.address, prepared)),
  }));

async function openPrepared(
  address: string,
  { pixels, original, crop }: NonNullable<CarriedPicture["prepared"]>,
): Promise<Picture> {
  return { pixels: await readPixels(pixels), image: { address }, geometry: { originalSize: original, box: crop } };
}

async function read(weights: Weights): Promise<ArrayBuffer> {
  if ("element" in weights) return bytesOf(textOf(weights.element)).buffer;
  try {
    const response = await fetch(new URL(weights.address, document.baseURI));
    if (response.ok) return await response.arrayBuffer();
  } catch {
    // the connection broke: the message below says what to do
  }
  throw problem("weights.away");
}

/** The file of a data: address. A page under a strict policy may not fetch it. */
export function blobOf(address: string): Blob {
  const [head, data] = address.split(",");
  return new Blob([bytesOf(data)], { type: head.slice("data:".length).split(";")[0] });
}
