/** The module "virtual:kernels": assembly/ compiled to WebAssembly, as base64, so that the page fetches nothing. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import asc from "assemblyscript/asc";
import type { Plugin } from "vite";

const ID = "virtual:kernels";
const FOLDER = join(import.meta.dirname, "assembly");
const OPTIONS = ["--runtime", "stub", "--noAssert", "--importMemory", "--noExportMemory", "--enable", "simd"];

async function compile(name: string, ...options: string[]): Promise<string> {
  let bytes = new Uint8Array();
  const { error, stderr } = await asc.main([name, "--outFile", "kernels.wasm", ...OPTIONS, ...options], {
    readFile: (name) => (FILES.includes(name) ? readFileSync(join(FOLDER, name), "utf8") : null),
    writeFile(_name, content) {
      bytes = content as Uint8Array<ArrayBuffer>;
    },
    listFiles: () => [],
  });
  if (error) throw new Error(`assembly/${name}: ${stderr.toString()}`);
  return Buffer.from(bytes).toString("base64");
}

const FILES = ["kernels.ts", "multiply.ts", "vectors.ts"];

/** The page's script, its worker and the tests share one compilation. */
let modules: Promise<string> | null = null;

async function compileAll(): Promise<string> {
  const kernels = await compile("kernels.ts", "-O2");
  const fused = await compile("multiply.ts", "-O3", "--enable", "relaxed-simd");
  return `export const KERNELS = "${kernels}"; export const FUSED_MULTIPLY = "${fused}";`;
}

export function wasmKernels(): Plugin {
  return {
    name: "wasm-kernels",
    resolveId: (id) => (id === ID ? `\0${ID}` : null),
    load(id) {
      if (id !== `\0${ID}`) return null;
      for (const name of FILES) this.addWatchFile(join(FOLDER, name));
      return (modules ??= compileAll());
    },
  };
}
