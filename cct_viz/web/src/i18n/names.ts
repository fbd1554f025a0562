// Names that come with models and pictures, in the page's language. Those that no pack knows stay as they are.

import { t } from "./index.ts";
import { spoken } from "./language.svelte.ts";

const translated = (name: string): string | null => {
  const { names } = spoken.pack;
  return Object.hasOwn(names, name) ? (names[name] ?? null) : null;
};

/** The name of a class or of what a picture shows: "cat" -> "Katze". For display only: nothing is looked up by it. */
export const labelName = (label = ""): string => translated(label) ?? label;

/** The name of a picture; a photo of the visitor keeps its file's name. */
export const pictureName = (picture: { readonly kind: string; readonly name: string } | null): string =>
  picture?.kind === "own" ? picture.name : labelName(picture?.name);

/** The name of a model, part by part: "CCT-2/3x2, class token", "CCT-2/3x2 · 64 tokens". */
export const modelName = (title: string): string =>
  title.replace(/[^,()·]+/g, (part) => {
    const name = part.trim();
    const tokens = /^(\d+) tokens$/.exec(name);
    const words = tokens ? t("hero.tokens", { count: Number(tokens[1]) }) : translated(name);
    return words === null ? part : part.replace(name, words);
  });
