// What Python puts into a page as JSON: models and pictures, as cct_viz/web/html.py describes them.

import { bytesOf, decodeFloats, type Encoded } from "../core/arrays.ts";
import type { Gauge, ModelEntry, PictureEntry } from "../core/entries.ts";
import { problem } from "../core/problem.ts";
import { type Language, LANGUAGES, type Pack } from "../i18n/language.svelte.ts";
import { Packs, type ReadPack } from "../i18n/packs.ts";
import type { Picture } from "../model/trace.ts";
import { readPixels } from "../picture/canvas.ts";

/** Id of the element that carries a language's pack. */
const elementOf = (language: Language): string => `language-${language}`;

/** The packs that the page itself carries. */
export const carriedPacks = (): Packs =>
  packsOf((language) =>
    document.getElementById(elementOf(language)) ? async () => carried<Pack>(elementOf(language)) : undefined,
  );

/** The packs that its server hands out. */
export const fetchedPacks = (addresses: Readonly<Partial<Record<Language, string>>>): Packs =>
  packsOf((language) => {
    const address = addresses[language];
    return address === undefined ? undefined : async () => (await fetched(address)).json() as Promise<Pack>;
  });

const packsOf = (read: (language: Language) => ReadPack | undefined): Packs =>
  new Packs(Object.fromEntries((Object.keys(LANGUAGES) as Language[]).map((language) => [language, read(language)])));

/** Where a model's weights are: base64 in an element of the page, or a file of its server; null: on the server alone. */
type Weights = { readonly element: string } | { readonly address: string };
export type CarriedModel = Omit<ModelEntry, "weights" | "labels" | "gauge"> & {
  readonly weights: Weights | null;
  readonly gauge: ({ readonly [Field in "mean" | "root" | "distances"]: Encoded } & Pick<Gauge, "auroc">) | null;
};
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
  models.map(({ weights, gauge, ...rest }) => ({
    ...rest,
    gauge: gauge && {
      mean: decodeFloats(gauge.mean),
      root: decodeFloats(gauge.root),
      distances: decodeFloats(gauge.distances),
      auroc: gauge.auroc,
    },
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
    return await (await fetched(weights.address)).arrayBuffer();
  } catch {
    throw problem("weights.away"); // the connection broke, or the server has no such file
  }
}

/** @throws {Error} the connection broke, or the server has no such file */
async function fetched(address: string): Promise<Response> {
  const response = await fetch(new URL(address, document.baseURI));
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  return response;
}

/** The file of a data: address. A page under a strict policy may not fetch it. */
export function blobOf(address: string): Blob {
  const [head, data] = address.split(",");
  return new Blob([bytesOf(data)], { type: head.slice("data:".length).split(";")[0] });
}
