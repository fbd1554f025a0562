/** A model that runs in a worker, so that the page stays quick while it computes. */

import { problem } from "../core/problem.ts";
import type { Config } from "./config.ts";
import type { Step, TokenMask } from "./forward.ts";
import { type Model, openModel } from "./model.ts";
import type { Reply, Request } from "./protocol.ts";
import { answerTogether, helpersFor } from "./together.ts";
import type { Picture, Trace } from "./trace.ts";

/** Called before each step with the steps done, how many there are, and the next. */
export type OnProgress = (done: number, all: number, next: Step) => void;

export interface AnswersOptions {
  /** Ends the job; its promise is rejected with an AbortError. */
  readonly signal?: AbortSignal;
  /** Called as each answer comes, in the order of the masks. */
  readonly onanswer?: (index: number, logits: Float32Array) => void;
  /** Whether the job waits while anything else is to be done. */
  readonly background?: boolean;
}

export interface RunningModel {
  readonly config: Config;
  /**
   * The same model in this thread, for what is computed from single weights: the inside of a convolution, q and k. Null
   * where a server runs it.
   */
  readonly model: Model | null;
  /** The trace of a new picture. Whatever is under way is of an older one and is dropped. */
  readonly explain: (picture: Picture, onprogress?: OnProgress) => Promise<Trace>;
  /** The trace of other pixels or without some tokens; what was asked before is finished first. */
  readonly trace: (picture: Picture, mask?: TokenMask) => Promise<Trace>;
  /** The logits (K,) of pixels (H, W, 3), without the tokens that are 0 in the mask (N,). */
  readonly answer: (pixels: Uint8Array, mask?: TokenMask) => Promise<Float32Array>;
  /** The logits for each of many masks of one picture, the tokenizer computed once. */
  readonly answers: (
    pixels: Uint8Array,
    masks: readonly TokenMask[],
    options?: AnswersOptions,
  ) => Promise<Float32Array[]>;
  /** Drops what is under way; its promises are rejected with an AbortError. */
  readonly drop: () => void;
  /** Ends the worker and frees its memory. */
  readonly close: () => void;
}

/** What is waited for: replies come to `take`, which says whether the job is done. */
interface Pending {
  readonly take: (reply: Reply) => boolean;
  readonly reject: (error: unknown) => void;
}

type Unnumbered<R> = R extends { readonly id: number } ? Omit<R, "id"> : never;

/**
 * Resolves when the model is open.
 * @param configText the content of config.json
 * @param buffer the content of model.safetensors; each worker gets a copy
 * @param countHelpers how many more workers to start for so many masks, until they are answered
 * @throws {Error} the files or the browser do not allow it; the message says why
 */
export async function startModel(
  configText: string,
  buffer: ArrayBuffer,
  createWorker: () => Worker,
  countHelpers: (masks: number) => number = (masks) => helpersFor(buffer.byteLength, masks),
): Promise<RunningModel> {
  const model = openModel(configText, buffer);
  const open = async (): Promise<ReturnType<typeof connect>> => {
    const ask = connect(start(createWorker));
    try {
      await ask.request({ kind: "open", config: configText, weights: buffer }, "open");
    } catch (error) {
      ask.close(error);
      throw error;
    }
    return ask;
  };
  const ask = await open();
  const answers: RunningModel["answers"] = async (pixels, masks, options = {}) => {
    const count = options.background ? countHelpers(masks.length) : 0;
    const helpers = count ? await openHelpers(open, count) : [];
    try {
      return await answerTogether(
        [ask, ...helpers].map((one) => one.answers),
        pixels,
        masks,
        options,
      );
    } finally {
      for (const helper of helpers) helper.close(new DOMException("the answers are there", "AbortError"));
    }
  };
  const trace = async (picture: Picture, mask: TokenMask = null, onprogress?: OnProgress): Promise<Trace> => {
    const request = { kind: "trace", pixels: picture.pixels, mask } as const;
    const { trace: computed } = await ask.request(request, "trace", onprogress);
    return { ...picture, ...computed, ...(mask && { mask: Uint8Array.from(mask) }) };
  };
  const drop = () => ask.drop(new DOMException("another picture came", "AbortError"));
  return {
    config: model.config,
    model,
    explain(picture, onprogress) {
      drop();
      return trace(picture, null, onprogress);
    },
    trace: (picture, mask) => trace(picture, mask),
    async answer(pixels, mask = null) {
      const [logits] = await ask.answers(pixels, [mask], {});
      return logits;
    },
    answers,
    drop,
    close: () => ask.close(new DOMException("the model was closed", "AbortError")),
  };
}

/** Those of so many workers that start: the browser may refuse some. */
async function openHelpers<W>(open: () => Promise<W>, count: number): Promise<W[]> {
  const started = await Promise.allSettled(Array.from({ length: count }, open));
  return started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

function start(createWorker: () => Worker): Worker {
  try {
    return createWorker();
  } catch {
    throw problem("worker.none");
  }
}

/** Questions to a worker and their answers. */
function connect(worker: Worker) {
  const pending = new Map<number, Pending>();
  let last = 0;
  let closed: { readonly error: unknown } | null = null;

  worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
    const job = pending.get(reply.id); // a job that was dropped has no entry
    if (!job) return;
    if (reply.kind === "error") {
      pending.delete(reply.id);
      job.reject(reply.problem ? problem(reply.problem.key, reply.problem.values) : new Error(reply.message));
    } else if (job.take(reply)) {
      pending.delete(reply.id);
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    rejectAll(event.message ? problem("worker.stopped", { reason: event.message }) : problem("worker.none"));
  };

  function rejectAll(error: unknown): void {
    const jobs = [...pending.values()];
    pending.clear();
    for (const job of jobs) job.reject(error);
  }

  function post(request: Unnumbered<Request>, job: Pending): number {
    const id = ++last;
    if (closed) job.reject(closed.error);
    else pending.set(id, job);
    worker.postMessage({ id, ...request });
    return id;
  }

  function cancel(ids: readonly number[]): void {
    worker.postMessage({ kind: "cancel", ids } satisfies Request);
  }

  /** The reply of this kind. */
  function request<K extends "open" | "trace">(
    message: Unnumbered<Request>,
    kind: K,
    onprogress?: OnProgress,
  ): Promise<Extract<Reply, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const take = (reply: Reply) => {
        if (reply.kind === "step") onprogress?.(reply.done, reply.all, reply.next);
        if (reply.kind !== kind) return false;
        resolve(reply as Extract<Reply, { kind: K }>);
        return true;
      };
      post(message, { take, reject });
    });
  }

  function answers(
    pixels: Uint8Array,
    masks: readonly TokenMask[],
    { signal, onanswer, background = false }: AnswersOptions = {},
  ): Promise<Float32Array[]> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortOf(signal));
      if (!masks.length) return resolve([]);
      const logits: Float32Array[] = [];
      const abort = () => {
        pending.delete(id);
        cancel([id]);
        if (signal) reject(abortOf(signal));
      };
      const take = (reply: Reply) => {
        if (reply.kind !== "answer") return false;
        logits[reply.index] = reply.logits;
        onanswer?.(reply.index, reply.logits);
        if (reply.index < masks.length - 1) return false;
        signal?.removeEventListener("abort", abort);
        resolve(logits);
        return true;
      };
      const id = post({ kind: "answers", pixels, masks, background }, { take, reject });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  return {
    request,
    answers,
    drop(error: unknown) {
      cancel([...pending.keys()]);
      rejectAll(error);
    },
    close(error: unknown) {
      closed = { error };
      rejectAll(error);
      worker.terminate();
    },
  };
}

const abortOf = (signal: AbortSignal): unknown =>
  signal.reason instanceof DOMException ? signal.reason : new DOMException("the question was taken back", "AbortError");
