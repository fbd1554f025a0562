// What a page carries as JSON in its own elements, as cct_viz/web/page.py wrote it.

import { bytesOf } from "../core/arrays.ts";
import type { ModelEntry, PictureEntry } from "../core/entries.ts";

/** A model with its weights in base64. */
type CarriedModel = Omit<ModelEntry, "weights" | "bytes"> & { weights: string };
type CarriedPicture = Omit<PictureEntry, "source">;

function carried<T>(id: string): T {
  const element = document.getElementById(id);
  if (!element?.textContent) throw new Error(`the page is not whole: it has no ${id}; get it again`);
  return JSON.parse(element.textContent) as T;
}

export const carriedModels = (): ModelEntry[] =>
  carried<CarriedModel[]>("models").map(({ weights, ...rest }) => ({
    ...rest,
    bytes: Math.floor((weights.length * 3) / 4),
    weights: () => Promise.resolve(bytesOf(weights).buffer),
  }));

export const carriedPictures = (): PictureEntry[] =>
  carried<CarriedPicture[]>("pictures").map((picture) => ({
    ...picture,
    source: () => Promise.resolve(blobOf(picture.address)),
  }));

/** The file of a data: address. A page under a strict policy may not fetch it. */
export function blobOf(address: string): Blob {
  const [head, data] = address.split(",");
  return new Blob([bytesOf(data)], { type: head.slice("data:".length).split(";")[0] });
}
