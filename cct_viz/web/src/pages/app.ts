// The explorer inside another page, such as the Gradio app: in a shadow root, so that no style of that page reaches it.

import { mount, unmount } from "svelte";
import App from "../App.svelte";
import type { ModelEntry, PictureEntry } from "../core/entries.ts";
import { problem } from "../core/problem.ts";
import { Session } from "../core/session.svelte.ts";
import { blobOf } from "./carried.ts";
import { startHere } from "./engine.ts";

/** A model whose weights lie in a file beside the page. */
export type FetchedModel = Omit<ModelEntry, "weights"> & { readonly file: string };
export type GivenPicture = Omit<PictureEntry, "source">;

export interface OpenOptions {
  readonly models: readonly FetchedModel[];
  readonly pictures: readonly GivenPicture[];
  /** The text of page.css. */
  readonly style: string;
  /** Whether the explorer keeps its state in the page's address. */
  readonly address?: boolean;
}

export interface Opened {
  readonly session: Session;
  /** Takes the explorer away. */
  readonly close: () => Promise<void>;
}

const FONT = /@font-face\s*\{[^}]*\}/g;

/** Open an explorer inside an element. */
export function openIn(host: HTMLElement, { models, pictures, style, address = true }: OpenOptions): Opened {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const sheet = document.createElement("style");
  sheet.textContent = style;
  root.replaceChildren(sheet);
  addFont(style);
  const session = new Session(startHere, models.map(fetched), pictures.map(given));
  const app = mount(App, { target: root, props: { session, address } });
  return { session, close: () => unmount(app) };
}

const given = (picture: GivenPicture): PictureEntry => ({
  ...picture,
  source: () => Promise.resolve(blobOf(picture.address)),
});

const fetched = ({ file, ...model }: FetchedModel): ModelEntry => ({ ...model, weights: () => fetchWeights(file) });

/** Once a model; the browser caches the file by its address, which names its content. */
async function fetchWeights(file: string): Promise<ArrayBuffer> {
  try {
    const answer = await fetch(file);
    if (!answer.ok) throw problem("weights.away");
    return await answer.arrayBuffer();
  } catch {
    throw problem("weights.away");
  }
}

const FONT_ID = "cct-explorer-font";

/** Fonts that a shadow root declares are not used: they belong to the page. */
function addFont(style: string): void {
  if (document.getElementById(FONT_ID)) return;
  const sheet = document.createElement("style");
  sheet.id = FONT_ID;
  sheet.textContent = style.match(FONT)?.join("\n") ?? "";
  document.head.append(sheet);
}
