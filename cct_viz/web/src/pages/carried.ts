// What a page carries as JSON in its own elements, as cct_viz/web/page.py wrote it.

import { bytesOf } from "../core/arrays.ts";
import { problem } from "../core/problem.ts";
import type { ModelEntry, PictureEntry } from "../core/entries.ts";

/** A model whose weights lie in an element of their own, in base64. */
type CarriedModel = Omit<ModelEntry, "weights">;
type CarriedPicture = Omit<PictureEntry, "source">;

/** The text of an element of the page. @throws {Error} the page is cut short */
function textOf(id: string): string {
  const text = document.getElementById(id)?.textContent;
  if (!text) throw problem("weights.page");
  return text;
}

const carried = <T>(id: string): T => JSON.parse(textOf(id)) as T;

export const carriedModels = (): ModelEntry[] =>
  carried<CarriedModel[]>("models").map((model) => ({
    ...model,
    weights: () => new Promise((resolve) => resolve(bytesOf(textOf(`weights-${model.id}`)).buffer)),
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
