// How this page runs models: in a worker, on this device; what does not fit into a page, on the server.

import type { StartModel } from "../core/session.svelte.ts";
import { createWorker } from "../model/inline_worker.ts";
import { problem, type ProblemKey } from "../core/problem.ts";
import { readConfig } from "../model/config.ts";
import { openPayload } from "../model/payload.ts";
import { type RunningModel, startModel } from "../model/runner.ts";
import type { Picture, Trace } from "../model/trace.ts";

/** The payload of a model's trace of pixels (H, W, 3), as cct_viz/web/payload.py makes it. */
export type AskServer = (model: string, pixels: Uint8Array) => Promise<string>;

/**
 * @param ask where there is a server, or a page with a trace and no model
 * @param limit what a visitor reads who asks for more than `ask` gives
 */
export const startWith =
  (ask?: AskServer, limit: ProblemKey = "server.whole"): StartModel =>
  async (model) => {
    if (model.weights) return startModel(model.config, await model.weights(), createWorker);
    if (!ask) throw problem("server.none", { model: model.title });
    return onServer(model.config, (pixels) => ask(model.id, pixels), limit);
  };

/** A model that answers whole pictures only: what needs a pass for each token takes a model in the page. */
function onServer(config: string, ask: (pixels: Uint8Array) => Promise<string>, limit: ProblemKey): RunningModel {
  let latest = 0;
  const explain = async (picture: Picture): Promise<Trace> => {
    const mine = ++latest;
    const trace = await openPayload(await ask(picture.pixels));
    if (mine !== latest) throw new DOMException("another picture came", "AbortError");
    return { ...trace, ...picture };
  };
  const refuse = () => Promise.reject(problem(limit));
  return {
    config: readConfig(config),
    model: null,
    explain,
    trace: (picture, mask = null) => (mask ? refuse() : explain(picture)),
    answer: refuse,
    answers: refuse,
    drop: () => void latest++,
    close: () => void latest++,
  };
}
