/** dist/de.json and so on: the texts of each language besides English, which the page's script has inside. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

const FOLDER = join(import.meta.dirname, "src/i18n");
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
        const source = JSON.stringify({ texts, problems, names });
        this.emitFile({ type: "asset", fileName, source });
      }
    },
  };
}
