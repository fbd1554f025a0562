// The model in a thread of its own. It says that it is ready, then answers messages: {open}, {id, pixels, mask, brief,
// picture, about}, {drop}. runner.js is the other side; the page imports this module for its name alone.

import { openModel } from "./model.js";
import { makePayload } from "./trace.js";

export const NAME = "worker.js";

let model = null, busy = false;
const waiting = [];

function receive({ data: message }) {
  if (message.open) {
    answer(() => {
      model = openModel(...message.open);
      return { config: model.config };
    });
  } else if (message.drop) {
    waiting.forEach((job) => { job.dropped = true; });
  } else {
    waiting.push(message);
    if (!busy) work();
  }
}

/** Takes the waiting jobs one after another, and between two steps of each lets messages in. */
async function work() {
  busy = true;
  for (let job; (job = waiting[0]); waiting.shift()) {
    try {
      await take(job);
    } catch (error) {
      postMessage({ id: job.id, error: error.message });
    }
  }
  busy = false;
}

async function take(job) {
  const pass = model.steps(job.pixels, job.mask);
  for (let done = 0; !job.dropped; done++) {
    const { done: over, value: next } = pass.next();
    // Copied, not transferred: once a thread has given one array away, V8 checks at every access to any.
    if (over) return postMessage({ id: job.id, result: resultOf(job, next) });
    postMessage({ id: job.id, progress: [done, model.numSteps, next] });
    await breathe();
  }
}

/** @param {import("./model.js").Seen} seen */
function resultOf({ brief, picture, about }, seen) {
  if (brief) return seen.logits.values;
  return about ? makePayload(model, seen, picture, about) : seen;
}

/** A turn of the event loop; a timer would wait four milliseconds. */
const breathe = () => new Promise((resume) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); resume(); };
  port2.postMessage(null);
});

function answer(make) {
  try {
    postMessage({ id: 0, result: make() });
  } catch (error) {
    postMessage({ id: 0, error: error.message });
  }
}

if (typeof WorkerGlobalScope !== "undefined") {
  onmessage = receive;
  postMessage({ ready: true });
}
