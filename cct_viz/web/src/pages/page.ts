// The page's script: it defines `cctExplorer`. The host that carries it calls one of these, and keeps what it returns as
// `cctExplorer.session`, for the browser's console.

export { openApp } from "./app.ts";
export { openSite } from "./site.ts";
