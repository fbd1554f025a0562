import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import { defineConfig, globalIgnores } from "eslint/config";
import globals from "globals";
import ts from "typescript-eslint";

import svelteConfig from "./svelte.config.js";

export default defineConfig(
  globalIgnores(["assembly/", "dist/", "node_modules/", "vectors/"]), // AssemblyScript has types of its own: asc checks it,
  js.configs.recommended,
  ts.configs.strict,
  svelte.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: {
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", ignoreRestSiblings: true }],
      eqeqeq: "error",
      "no-console": "error",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { extraFileExtensions: [".svelte"], parser: ts.parser, svelteConfig } },
    // Which warnings of the compiler are ignored is for svelte-check to judge: it fails on any that is left.
    rules: { "svelte/no-at-html-tags": "error", "svelte/no-unused-svelte-ignore": "off" },
  },
  // Their pure functions build a Map or URLSearchParams for themselves; what is reactive is $state.
  { files: ["**/*.svelte.ts"], rules: { "svelte/prefer-svelte-reactivity": "off" } },
  { files: ["*.js", "*.ts"], languageOptions: { globals: globals.node } },
  // cct_viz/web/site_files.py writes the first line of this one, which defines the two names.
  {
    files: ["service_worker.js"],
    languageOptions: { globals: { ...globals.serviceworker, VERSION: "readonly", FILES: "readonly" } },
  },
);
