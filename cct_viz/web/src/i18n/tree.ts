// The English texts as the built page carries them (page_texts.ts): a tree of the parts of their keys.

import type { Entry } from "./language.svelte.ts";

/** A text, its plural forms [other, one?], or more keys; "" is the entry of the key itself. */
export type Tree = string | readonly string[] | { readonly [part: string]: Tree };

/** Every key with its entry. */
export function entriesOf(tree: Tree, key = ""): [string, Entry][] {
  if (typeof tree === "string") return [[key, tree]];
  if (isForms(tree)) {
    const [other = "", one] = tree;
    return [[key, one === undefined ? { other } : { one, other }]];
  }
  return Object.entries(tree).flatMap(([part, below]) =>
    entriesOf(below, key && part ? `${key}.${part}` : key || part),
  );
}

const isForms = (tree: Exclude<Tree, string>): tree is readonly string[] => Array.isArray(tree);
