/** A thread of its own for a model. */

import { JAVASCRIPT } from "./engine.ts";
import { createJobs } from "./jobs.ts";
import type { Request } from "./protocol.ts";
import { createWasmEngine } from "./wasm_engine.ts";

/** A turn of the event loop; a timer would wait four milliseconds. */
const breathe = (): Promise<void> =>
  new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });

/** From now on this thread, a worker's, answers requests. */
export function serveModel(): void {
  const receive = createJobs(
    (reply) => self.postMessage(reply),
    breathe,
    (config) => createWasmEngine(config) ?? JAVASCRIPT,
  );
  self.onmessage = ({ data }: MessageEvent<Request>) => receive(data);
}
