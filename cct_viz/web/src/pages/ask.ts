// A model that is too large for a page: its server computes the trace of the page's pixels, in one request.

import { problem } from "../core/problem.ts";
import type { AskServer } from "./engine.ts";

const PATIENCE = 60_000; // milliseconds; the largest model takes two seconds

/** @throws {Problem} no answer. @throws {Error} the server's own sentence, such as that it is busy. */
export const askServer: AskServer = async (model, pixels) => {
  const { ok, answer } = await send({ data: [model, base64Of(pixels)] }).catch(() => {
    throw problem("server.away");
  });
  if (ok && answer.data) return answer.data[0];
  throw answer.detail ? new Error(answer.detail) : problem("server.away");
};

interface Answer {
  readonly data?: readonly [string];
  readonly detail?: string;
}

async function send(body: unknown): Promise<{ readonly ok: boolean; readonly answer: Answer }> {
  const response = await fetch(new URL("gradio_api/run/trace", document.baseURI), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  return { ok: response.ok, answer: (await response.json()) as Answer };
}

function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}
