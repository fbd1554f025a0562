/** dist/de.json and so on: the texts of each language besides English, which the page's script has inside. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const FOLDER = join(import.meta.dirname, "src/i18n");
/** Letters with accents and the like, which the page's font lacks. */
const LETTERS = readFileSync(join(FOLDER, "../styles/inter-letters.woff2")).toString("base64");
const read = (name: string): unknown => JSON.parse(readFileSync(join(FOLDER, name), "utf8"));

export function languagePacks(): Plugin {
  return {
    name: "language-packs",
    apply: "build",
    generateBundle() {
      for (const fileName of readdirSync(FOLDER).filter(
        (name) => /^[a-z]{2}\.json$/.test(name) && name !== "en.json",
      )) {
        const [texts, problems, names] = ["", "problems.", "names."].map((stem) => read(stem + fileName));
        const isLatin = /[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f]/.test(JSON.stringify(texts));
        const source = JSON.stringify({ texts, problems, names, letters: isLatin ? LETTERS : undefined });
        this.emitFile({ type: "asset", fileName, source });
      }
    },
  };
}
