import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { pageTexts } from "./page_texts.ts";
import { languagePacks } from "./language_packs.ts";
import { devPage } from "./dev_page.ts";
import { wasmKernels } from "./wasm_kernels.ts";

/**
 * The page is one script and one style sheet, which Python puts into an HTML text as they are: fonts are inside, and the
 * script is the worker's too. Texts in other languages than English are files of their own. As a script of its own (IIFE)
 * it needs neither modules nor requests, and so runs from disk under a strict Content-Security-Policy.
 */
export default defineConfig({
  plugins: [svelte(), pageTexts(), devPage(), languagePacks(), wasmKernels()],
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    copyPublicDir: false,
    lib: {
      entry: "src/pages/page.ts",
      formats: ["iife"],
      name: "cctExplorer",
      fileName: () => "page.js",
      cssFileName: "page",
    },
    rolldownOptions: {
      // After minifying: a function around the script, whose text is the worker's script too (model/inline_worker.ts).
      output: {
        postBanner: "function cctExplorerScript(){",
        postFooter: "return cctExplorer}var cctExplorer=cctExplorerScript();",
      },
    },
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
    testTimeout: 60_000, // a busy machine is no failure
  },
});
