// The static site, or one file from disk: models and pictures lie in the page. Inside another page, such as the Gradio
// app, nothing opens by itself: that page calls `openIn`.

import { mount } from "svelte";
import App from "../App.svelte";
import { Session } from "../core/session.svelte.ts";
import { carriedModels, carriedPictures } from "./carried.ts";
import { startHere } from "./engine.ts";

export { openIn } from "./app.ts";

function open(host: HTMLElement): Session {
  const made = new Session(startHere, carriedModels(), carriedPictures());
  host.replaceChildren();
  mount(App, { target: host, props: { session: made } });
  return made;
}

const host = document.getElementById("explorer");
/** In the browser's console: cctExplorer.session. Null where another page opens the explorer. */
export const session = host && document.getElementById("models") ? open(host) : null;
if (session) keepOffline();

/** Where a browser allows it; where it does not, the site goes on with the network. */
function keepOffline(): void {
  if (!document.querySelector("link[rel=manifest]") || location.protocol === "file:") return;
  navigator.serviceWorker?.register("service_worker.js").catch(() => undefined);
}
