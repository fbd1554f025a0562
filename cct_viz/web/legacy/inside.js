// The models that a page holds, of which one is chosen. It starts when it is first needed.

import { bytesOf } from "./arrays.js";
import { startModel } from "./runner.js";

/**
 * @typedef {object} Packed a model as Python's `pack_model` writes it
 * @property {string} name @property {string[]} facts @property {string} config the content of config.json
 * @property {string} weights base64 of model.safetensors @property {number[] | null} prior
 */

const CUT = "the weights in this page are cut short or damaged; get the page again";

/** @param {Packed[]} packed one or more */
export function createModels(packed) {
  let chosen = 0, started = null;

  /** The chosen model, running; rejects with a sentence where it cannot. */
  const start = () => (started ??= open(packed[chosen]).catch((error) => { started = null; throw error; }));

  /** Choose another one; the one before ends, with what it was computing. */
  function choose(index) {
    if (index === chosen) return;
    close();
    chosen = index;
  }

  function close() {
    started?.then((model) => model.close(), () => {}); // who waits for it has been told already
    started = null;
  }

  /** Drop what is under way. */
  const drop = () => started?.then((model) => model.drop(), () => {});

  return {
    start, choose, drop, close,
    get index() { return chosen; },
    get about() { const { name, facts, prior } = packed[chosen]; return { model: name, facts, prior: prior && Float32Array.from(prior) }; },
  };
}

async function open({ config, weights }) {
  let bytes;
  try { bytes = bytesOf(weights); } catch { throw new Error(CUT); }
  return startModel(config, bytes.buffer);
}
