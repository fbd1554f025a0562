// The static site, or one file from disk: models and pictures lie in the page.

import { mount } from "svelte";
import App from "../App.svelte";
import type { PictureEntry } from "../core/entries.ts";
import { problem } from "../core/problem.ts";
import { Session, type StartModel } from "../core/session.svelte.ts";
import { carried, carriedPacks, type CarriedModel, type CarriedPicture, openModels, openPictures } from "./carried.ts";
import { type AskServer, startWith } from "./engine.ts";
import { hasAddress } from "./link.ts";

export function openSite(): Session {
  const host = document.getElementById("explorer");
  if (!host) throw new Error("the page has no element for the explorer");
  const models = openModels(carried<CarriedModel[]>("models"));
  const pictures = openPictures(carried<CarriedPicture[]>("pictures"));
  const payload = document.getElementById("payload")?.textContent;
  const start = payload ? startOrAnswer(answerOnly(pictures[0], payload)) : startWith();
  const session = new Session(start, models, pictures, carriedPacks());
  host.replaceChildren();
  mount(App, { target: host, props: { session, address: hasAddress() } });
  keepOffline();
  return session;
}

/** A page of one trace, as a notebook's cell shows it: without a model, or without workers, it has the trace alone. */
function startOrAnswer(answer: AskServer): StartModel {
  const start = startWith(),
    alone = startWith(answer, "trace.alone");
  return (model) => start(model).catch(() => alone({ ...model, weights: null }));
}

const answerOnly =
  (picture: PictureEntry, payload: string): AskServer =>
  async (_, pixels) => {
    const own = await picture.prepared?.();
    if (own?.pixels.some((value, i) => value !== pixels[i])) throw problem("trace.alone");
    return payload;
  };

/** Where a browser allows it; where it does not, the site goes on with the network. */
function keepOffline(): void {
  if (!document.querySelector("link[rel=manifest]") || location.protocol === "file:") return;
  navigator.serviceWorker?.register("service_worker.js").catch(() => undefined);
}
