// The page's script: it defines `cctExplorer`, and the host that carries it calls one of these.

export { openApp } from "./app.ts";
export { openSite } from "./site.ts";
