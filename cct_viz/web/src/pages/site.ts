// The static site, or one file from disk: models and pictures lie in the page.

import { mount } from "svelte";
import App from "../App.svelte";
import { Session } from "../core/session.svelte.ts";
import { carried, type CarriedModel, type CarriedPicture, openModels, openPictures } from "./carried.ts";
import { startWith } from "./engine.ts";

export function openSite(): Session {
  const host = document.getElementById("explorer");
  if (!host) throw new Error("the page has no element for the explorer");
  const models = openModels(carried<CarriedModel[]>("models"));
  const pictures = openPictures(carried<CarriedPicture[]>("pictures"));
  const session = new Session(startWith(), models, pictures);
  host.replaceChildren();
  mount(App, { target: host, props: { session } });
  keepOffline();
  return session;
}

/** Where a browser allows it; where it does not, the site goes on with the network. */
function keepOffline(): void {
  if (!document.querySelector("link[rel=manifest]") || location.protocol === "file:") return;
  navigator.serviceWorker?.register("service_worker.js").catch(() => undefined);
}
