/** What the built script carries in a shorter form: the English texts, and the sources that the page shows. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { zlibSync } from "fflate"; // writes the same bytes everywhere, as node:zlib does not
import type { Plugin } from "vite";

type Entry = string | { readonly one?: string; readonly other: string };
/** A key's parts lead to its entry; the entry of a key that others start with has the name "". Plural forms are a list. */
type Tree = { [part: string]: Tree | string | string[] };

const TREE = join(import.meta.dirname, "src/i18n/tree.ts");
const SOURCES = "sources:";

export function pageTexts(): Plugin {
  return {
    name: "page-texts",
    enforce: "pre",
    resolveId: (id) => (id.startsWith(SOURCES) ? id : null),
    load(id) {
      if (id.endsWith("/src/i18n/en.json")) {
        const tree = JSON.stringify(treeOf(JSON.parse(readFileSync(id, "utf8")) as Record<string, Entry>));
        const code = `import { entriesOf } from ${JSON.stringify(TREE)}; export default Object.fromEntries(entriesOf(${tree}));`;
        return { code, moduleType: "js" };
      }
      return id.startsWith(SOURCES)
        ? { code: `export default "${deflated(id.slice(SOURCES.length).split(","))}";`, moduleType: "js" }
        : null;
    },
  };
}

function deflated(files: readonly string[]): string {
  const texts = files.map((file) => readFileSync(join(import.meta.dirname, "src", file), "utf8"));
  return Buffer.from(zlibSync(Buffer.from(texts.join("\0")), { level: 9 })).toString("base64");
}

/** The parts that keys share are written once: 13 kB less. */
function treeOf(texts: Readonly<Record<string, Entry>>): Tree {
  const root: Tree = {};
  for (const [key, entry] of Object.entries(texts)) {
    const parts = key.split("."),
      last = parts.pop() ?? "";
    let node = root;
    for (const part of parts) {
      const next = node[part] ?? {};
      node = node[part] = typeof next === "string" || Array.isArray(next) ? { "": next } : next;
    }
    const leaf = typeof entry === "string" ? entry : [entry.other, ...(entry.one === undefined ? [] : [entry.one])];
    const branch = node[last];
    if (typeof branch === "object" && !Array.isArray(branch)) branch[""] = leaf;
    else node[last] = leaf;
  }
  return root;
}
