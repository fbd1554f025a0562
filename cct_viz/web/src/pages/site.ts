// The static site, or one file from disk: models and pictures lie in the page.

import { mount } from "svelte";
import App from "../App.svelte";
import { Session } from "../core/session.svelte.ts";
import { carriedModels, carriedPictures } from "./carried.ts";
import { startHere } from "./engine.ts";

const host = document.getElementById("explorer");
if (!host) throw new Error("the page has no element for the explorer");
/** In the browser's console: cctExplorer.session. */
export const session = new Session(startHere, carriedModels(), carriedPictures());
host.replaceChildren();
mount(App, { target: host, props: { session } });
keepOffline();

/** Where a browser allows it; where it does not, the site goes on with the network. */
function keepOffline(): void {
  if (!document.querySelector("link[rel=manifest]") || location.protocol === "file:") return;
  navigator.serviceWorker?.register("service_worker.js").catch(() => undefined);
}
