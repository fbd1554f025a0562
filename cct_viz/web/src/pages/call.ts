// What the page asks of its server, each in one request: see cct_viz/app/page_calls.py.

import { problem } from "../core/problem.ts";
import type { AskServer } from "./engine.ts";

const PATIENCE = 60_000; // milliseconds; the largest model takes two seconds

/**
 * The text that an endpoint answers.
 *
 * @throws {Problem} no answer, or a refusal of what was asked. @throws {Error} the server's own sentence, such as that it
 *   is busy.
 */
export async function call(name: string, ...data: readonly unknown[]): Promise<string> {
  const { status, answer } = await send(name, { data }).catch(() => {
    throw problem("server.away");
  });
  if (status === 200 && answer.data) return answer.data[0];
  if (!answer.detail) throw problem("server.away");
  throw status === 422 ? problem("server.model", { reason: answer.detail }) : new Error(answer.detail);
}

/** The trace of a model that is too large for a page. @throws as `call` */
export const askServer: AskServer = (model, pixels) => call("trace", model, base64Of(pixels));

interface Answer {
  readonly data?: readonly [string];
  readonly detail?: string;
}

async function send(name: string, body: unknown): Promise<{ readonly status: number; readonly answer: Answer }> {
  const response = await fetch(new URL(`gradio_api/run/${name}`, document.baseURI), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  return { status: response.status, answer: (await response.json()) as Answer };
}

function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}
