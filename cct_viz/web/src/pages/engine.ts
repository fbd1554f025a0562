// How this page runs models: in a worker, on this device.

import type { Engine } from "../core/session.svelte.ts";

export const engine: Engine = {
  start: () => Promise.reject(new Error("the engine is not there yet")),
  prepare: () => Promise.reject(new Error("the engine is not there yet")),
};
