// The page's script: it defines `cctExplorer`. The host that carries it calls one of these, and keeps what it returns as
// `cctExplorer.session`, for the browser's console. In a worker the same script runs a model (model/inline_worker.ts).

import { serveModel } from "../model/worker.ts";

export { openApp } from "./app.ts";
export { openSite } from "./site.ts";

if (typeof document === "undefined") serveModel();
