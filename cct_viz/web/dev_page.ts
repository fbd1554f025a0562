/** The page of `npm run dev`: the sources, with the bundled models and pictures that Python puts into a page. */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Plugin } from "vite";

const ROOT = join(import.meta.dirname, "../..");
const WRITE = `
import cct_viz
from cct_viz.web.html import carry_weights, describe_gallery, describe_model, page_html
classifiers = [cct_viz.load(name) for name in ("cct_2_3x2_32_cifar10", "keras_cct_cifar10")]
print(page_html([describe_model(one, carry_weights(one)) for one in classifiers], describe_gallery()))
`;

/** There is no built script that a worker could run. */
const WORKER = `export const createWorker = () =>
  new Worker(new URL("/src/model/dev_worker.ts", import.meta.url), { type: "module" });`;

/** Python is $PYTHON, or that of the checkout's .venv. */
export function devPage(): Plugin {
  let page: Promise<string> | null = null;
  return {
    name: "dev-page",
    apply: "serve",
    load: (id) => (id.endsWith("/model/inline_worker.ts") ? WORKER : null),
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (request.url?.split(/[?#]/)[0] !== "/") return next();
        page ??= makePage();
        page
          .then((html) => server.transformIndexHtml("/", html))
          .then((html) => response.setHeader("Content-Type", "text/html").end(html), next);
      });
    },
  };
}

async function makePage(): Promise<string> {
  const own = join(ROOT, ".venv/bin/python");
  const python = process.env["PYTHON"] ?? (existsSync(own) ? own : "python3");
  const options = { cwd: ROOT, maxBuffer: 2 ** 28 };
  const { stdout } = await promisify(execFile)(python, ["-c", WRITE], options);
  return stdout
    .replace(/<meta http-equiv[^>]*>/, "") // its policy knows the built script only
    .replace(/<style>[^]*?<\/style>/, "")
    .replace(
      /<script>[^]*<\/script>/,
      () => '<script type="module">import { openSite } from "/src/pages/page.ts"; openSite();</script>',
    );
}
