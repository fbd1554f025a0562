// How this page runs models: in a worker, on this device.

import type { StartModel } from "../core/session.svelte.ts";
import { createWorker } from "../model/inline_worker.ts";
import { startModel } from "../model/runner.ts";

export const startHere: StartModel = async (model) => startModel(model.config, await model.weights(), createWorker);
