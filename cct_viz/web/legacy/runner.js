// A model that runs in a worker, so that the page stays quick while it computes.

import { NAME } from "./worker.js";

const NO_WORKER = "this browser cannot run the model in the page: it starts no worker with modules; try a newer one";

/**
 * `onprogress` is called with the steps done, how many there are, and the name of the next.
 * @typedef {(done: number, all: number, next: string) => void} OnProgress
 */

/**
 * Resolves when the model is open; rejects with a sentence where the files or the browser do not allow it.
 * @param {string} configText the content of config.json
 * @param {ArrayBuffer} buffer the content of model.safetensors; the worker has a copy, so it need not be kept
 */
export async function startModel(configText, buffer) {
  const worker = await startWorker(), pending = new Map();
  let last = 0;

  function ask(message, onprogress) {
    const id = message.open ? 0 : ++last;
    return new Promise((resolve, reject) => {
      pending.set(id, { resolve, reject, onprogress });
      worker.postMessage({ id, ...message });
    });
  }
  function rejectAll(error) {
    const jobs = [...pending.values()];
    pending.clear();
    jobs.forEach((job) => job.reject(error));
  }
  worker.onmessage = ({ data: { id, result, error, progress } }) => {
    const job = pending.get(id);
    if (!job) return; // dropped
    if (progress) return job.onprogress?.(...progress);
    pending.delete(id);
    if (error) job.reject(new Error(error));
    else job.resolve(result);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    rejectAll(new Error(`the model stopped: ${event.message}`));
  };

  /**
   * One pass; those asked for before are finished first.
   * @param {Uint8Array} pixels (H, W, 3)
   * @param {{mask?: ArrayLike<number> | null, onprogress?: OnProgress}} [options] mask (N,) of 0 and 1
   * @returns {Promise<import("./model.js").Seen>}
   */
  const run = (pixels, { mask = null, onprogress } = {}) => ask({ pixels, mask }, onprogress);

  /** The same pass, of which only the scores come back. @returns {Promise<Float32Array>} (K,) logits */
  const answer = (pixels, mask = null) => ask({ pixels, mask, brief: true });

  /** Drops whatever is under way; its promises are rejected with an error named AbortError. */
  function drop() {
    worker.postMessage({ drop: true });
    rejectAll(new DOMException("another picture came", "AbortError"));
  }

  /**
   * What the explorer draws from, of a new picture. Whatever is still under way is of an older one and is dropped.
   * @param {import("./trace.js").Picture} picture @param {import("./trace.js").About} about
   * @param {{onprogress?: OnProgress}} [options]
   * @returns {Promise<object>} the payload
   */
  function explain(picture, about, { onprogress } = {}) {
    drop();
    return ask({ pixels: picture.pixels, picture, about }, onprogress);
  }

  /** Ends the worker and frees its memory. */
  function close() {
    rejectAll(new DOMException("the model was closed", "AbortError"));
    worker.terminate();
  }

  try {
    /** @type {{config: import("./config.js").Config}} */
    const { config } = await ask({ open: [configText, buffer] });
    return { config, run, answer, explain, drop, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** A worker that has its modules. They come as text with the page's own, since a page opened from disk can fetch nothing. */
async function startWorker() {
  let address, worker;
  try {
    address = URL.createObjectURL(new Blob([globalThis.cctWorkerScript(NAME)], { type: "text/javascript" }));
    worker = new Worker(address);
    await new Promise((ready, fail) => Object.assign(worker, { onmessage: ready, onerror: fail }));
    return worker;
  } catch {
    worker?.terminate();
    throw new Error(NO_WORKER);
  } finally {
    URL.revokeObjectURL(address);
  }
}
