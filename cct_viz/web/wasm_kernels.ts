/** The module "virtual:kernels": assembly/kernels.ts compiled to WebAssembly, as base64, so that the page fetches nothing. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import asc from "assemblyscript/asc";
import type { Plugin } from "vite";

const ID = "virtual:kernels";
const SOURCE = join(import.meta.dirname, "assembly/kernels.ts");
const OPTIONS = ["-O3", "--runtime", "stub", "--noAssert", "--importMemory", "--noExportMemory", "--enable", "simd"];

async function compile(...options: string[]): Promise<string> {
  let bytes = new Uint8Array();
  const { error, stderr } = await asc.main(["kernels.ts", "--outFile", "kernels.wasm", ...OPTIONS, ...options], {
    readFile: (name) => (name === "kernels.ts" ? readFileSync(SOURCE, "utf8") : null),
    writeFile(_name, content) {
      bytes = content as Uint8Array<ArrayBuffer>;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`assembly/kernels.ts: ${stderr.toString()}`);
  return Buffer.from(bytes).toString("base64");
}

/** The page's script, its worker and the tests share one compilation. */
let modules: Promise<string> | null = null;

async function compileBoth(): Promise<string> {
  const [fused, plain] = [await compile("--enable", "relaxed-simd"), await compile()];
  return `export const FUSED = "${fused}"; export const PLAIN = "${plain}";`;
}

export function wasmKernels(): Plugin {
  return {
    name: "wasm-kernels",
    resolveId: (id) => (id === ID ? `\0${ID}` : null),
    load(id) {
      if (id !== `\0${ID}`) return null;
      this.addWatchFile(SOURCE);
      return (modules ??= compileBoth());
    },
  };
}
