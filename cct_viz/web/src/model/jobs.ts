/**
 * The worker's side: jobs are taken a step at a time, so that a message, such as one that cancels, is heard between two
 * steps. Independent of the worker's global scope, so that tests run it in the page's thread.
 */

import type { Matrix } from "../core/matrix.ts";
import { Problem } from "../core/problem.ts";
import type { Config } from "./config.ts";
import type { Engine } from "./engine.ts";
import { makeTrace } from "./make_trace.ts";
import { type Model, openModel } from "./model.ts";
import type { Reply, Request } from "./protocol.ts";

type Work = Extract<Request, { kind: "trace" | "answers" }>;

interface Job {
  readonly id: number;
  readonly background: boolean;
  /** Yields what is to be told, a step at a time. */
  readonly steps: Iterator<Reply, void, void>;
}

/**
 * @param post sends a reply
 * @param breathe resolves after a turn of the event loop
 * @param createEngine makes what a model computes with
 */
export function createJobs(
  post: (reply: Reply) => void,
  breathe: () => Promise<void>,
  createEngine: (config: Config) => Engine,
): (request: Request) => void {
  let model: Model | null = null;
  let jobs: Job[] = [];
  let working = false;
  const embed = keepEmbedding();

  function receive(request: Request): void {
    if (request.kind === "cancel") {
      jobs = jobs.filter(({ id }) => !request.ids.includes(id));
    } else if (request.kind === "open") {
      attempt(request.id, () => {
        model = openModel(request.config, request.weights, createEngine);
        post({ id: request.id, kind: "open" });
      });
    } else if (!model) {
      throw new Error("a model must be opened before it runs");
    } else {
      jobs.push(startJob(model, request, embed));
      if (!working) void work();
    }
  }

  async function work(): Promise<void> {
    working = true;
    for (let job = nextOf(jobs); job; job = nextOf(jobs)) {
      const { id, steps } = job;
      const isOver = attempt(id, () => {
        const { done, value } = steps.next();
        if (value) post(value);
        return done === true;
      });
      if (isOver) jobs = jobs.filter((one) => one.id !== id);
      await breathe();
    }
    working = false;
  }

  /** What `task` returns; where it fails the error is told, and the job is over. */
  function attempt<R>(id: number, task: () => R): R | true {
    try {
      return task();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const known = error instanceof Problem ? { key: error.key, values: error.values } : null;
      post({ id, kind: "error", message, problem: known });
      return true;
    }
  }

  return receive;
}

/** In their order; those in the background once nothing else is left. */
const nextOf = (jobs: readonly Job[]): Job | undefined => jobs.find(({ background }) => !background) ?? jobs[0];

function startJob(model: Model, request: Work, embed: Embed): Job {
  if (request.kind === "trace") {
    return { id: request.id, background: false, steps: traceSteps(model, request) };
  }
  return { id: request.id, background: request.background, steps: answerSteps(model, request, embed) };
}

function* traceSteps(model: Model, request: Extract<Work, { kind: "trace" }>): Generator<Reply, void, void> {
  const { id } = request;
  const pass = model.steps(request.pixels, request.mask);
  for (let done = 0; ; done++) {
    const step = pass.next();
    // Copied to the page, not transferred: once a thread has given one array away, V8 checks at every access to any.
    if (step.done) return yield { id, kind: "trace", trace: makeTrace(model, step.value) };
    yield { id, kind: "step", done, all: model.numSteps, next: step.value };
  }
}

function* answerSteps(
  model: Model,
  request: Extract<Work, { kind: "answers" }>,
  embed: Embed,
): Generator<Reply, void, void> {
  for (const [index, mask] of request.masks.entries()) {
    const input = embed(model, request.pixels);
    yield { id: request.id, kind: "answer", index, logits: model.answer(input, mask) };
  }
}

type Embed = (model: Model, pixels: Uint8Array) => Matrix;

/** The encoder's input of the last picture, kept: many answers of one picture share it. */
function keepEmbedding(): Embed {
  let kept: { model: Model; pixels: Uint8Array; input: Matrix } | null = null;
  return (model, pixels) => {
    const isSame = kept?.model === model && kept.pixels.every((level, i) => level === pixels[i]);
    if (!kept || !isSame) kept = { model, pixels, input: model.embed(pixels) };
    return kept.input;
  };
}
