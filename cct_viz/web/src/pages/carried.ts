// What Python puts into a page as JSON: models and pictures, as cct_viz/web/page.py describes them.

import { bytesOf } from "../core/arrays.ts";
import type { ModelEntry, PictureEntry } from "../core/entries.ts";
import { problem } from "../core/problem.ts";

/** A model with its weights in base64, at an address of the page's own server, or on the server alone. */
export type CarriedModel = Omit<ModelEntry, "weights"> & {
  readonly weights: { readonly base64: string } | { readonly address: string } | null;
};
export type CarriedPicture = Omit<PictureEntry, "source">;

/** The JSON in an element of the page. */
export function carried<T>(id: string): T {
  const element = document.getElementById(id);
  if (!element?.textContent) throw new Error(`the page is not whole: it has no ${id}; get it again`);
  return JSON.parse(element.textContent) as T;
}

export const openModels = (models: readonly CarriedModel[]): ModelEntry[] =>
  models.map(({ weights, ...rest }) => ({ ...rest, weights: weights && (() => read(weights)) }));

export const openPictures = (pictures: readonly CarriedPicture[]): PictureEntry[] =>
  pictures.map((picture) => ({ ...picture, source: () => Promise.resolve(blobOf(picture.address)) }));

async function read(weights: NonNullable<CarriedModel["weights"]>): Promise<ArrayBuffer> {
  if ("base64" in weights) return bytesOf(weights.base64).buffer;
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
