import { describe, expect, it, vi } from "vitest";
import { bytesOf, expectClose, picture, readCase, readVectors } from "../testing/vectors.ts";
import { JAVASCRIPT } from "./engine.ts";
import { createJobs } from "./jobs.ts";
import type { Reply, Request } from "./protocol.ts";
import { type RunningModel, startModel } from "./runner.ts";
import { helpersFor } from "./together.ts";
import { createWasmEngine } from "./wasm_engine.ts";

const { about, pixels, mask, model, get } = readCase("seqpool");
const file = () => bytesOf(readVectors("seqpool").get("model"));
const n = model.config.numTokens;

/** A worker in this thread: the same jobs, with messages that take a turn of the event loop. */
function fakeWorker(heard: Reply[] = []): Worker {
  const turn = () => new Promise<void>((resume) => setImmediate(resume));
  const worker = {
    onmessage: null as ((event: { data: Reply }) => void) | null,
    terminate() {
      this.onmessage = null;
    },
    postMessage(request: Request) {
      void turn().then(() => receive(structuredClone(request)));
    },
  };
  const post = (reply: Reply) => {
    heard.push(reply);
    void turn().then(() => worker.onmessage?.({ data: structuredClone(reply) }));
  };
  const receive = createJobs(post, turn, (config) => createWasmEngine(config) ?? JAVASCRIPT);
  return worker as unknown as Worker;
}

const start = (heard?: Reply[]): Promise<RunningModel> => startModel(about.config, file(), () => fakeWorker(heard));
const nameOf = (error: unknown) => (error instanceof DOMException ? error.name : "no abort");

it("explains a picture as the model does, naming its steps", async () => {
  const running = await start();
  const steps: string[] = [];
  const trace = await running.explain(picture(pixels), (done, all, next) => steps.push(`${done}/${all} ${next.part}`));
  expect(steps).toEqual(["0/5 conv", "1/5 conv", "2/5 layer", "3/5 layer", "4/5 pool"]);
  expectClose(trace.logits, get("trace/logits"), "logits");
  expect(trace.pixels).toEqual(pixels);
  expect(trace.config).toEqual(running.config);
});

it("traces other pixels and masks without dropping what is under way", async () => {
  const running = await start();
  const [whole, masked] = await Promise.all([running.trace(picture(pixels)), running.trace(picture(pixels), mask)]);
  expectClose(whole.logits, get("trace/logits"), "logits");
  expectClose(masked.logits, get("masked/logits"), "masked logits");
});

it("answers many masks in their order, each as it comes", async () => {
  const running = await start();
  const masks = Array.from({ length: n }, (_, t) => Uint8Array.from({ length: n }, (_, i) => Number(i !== t)));
  const seen: number[] = [];
  const answers = await running.answers(pixels, masks, { onanswer: (index) => seen.push(index) });
  expect(seen).toEqual(masks.map((_, i) => i));
  const k = model.config.numClasses;
  const expected = get("masked/answers").values.subarray(k); // the first is without any token
  expectClose(
    answers.flatMap((logits) => Array.from(logits)),
    { values: expected },
    "answers",
  );
  expect(await running.answers(pixels, [])).toEqual([]);
  expectClose(await running.answer(pixels), get("trace/logits"), "answer");
});

describe("with helpers", () => {
  const masks = Array.from({ length: n }, (_, t) => Uint8Array.from({ length: n }, (_, i) => Number(i !== t)));
  const values = get("masked/answers").values.subarray(model.config.numClasses);
  /** Of the workers that are asked for, those in `refused` do not start. @returns the model and what each worker said */
  async function startCrew(helpers: number, refused: readonly number[] = []) {
    const heard: Reply[][] = [];
    const workers: Worker[] = [];
    const create = (): Worker => {
      const number = heard.push([]) - 1;
      if (refused.includes(number)) throw new Error("no more workers");
      workers.push(fakeWorker(heard[number]));
      return workers[workers.length - 1];
    };
    return { heard, workers, running: await startModel(about.config, file(), create, () => helpers) };
  }
  const isClosed = (worker: Worker) => worker.onmessage === null;

  it.each([
    ["all start", []],
    ["one does not start", [2]],
    ["none starts", [1, 2]],
  ])("many masks are dealt to workers that end with the job, where %s", async (_, refused) => {
    const { running, heard, workers } = await startCrew(2, refused);
    const seen: number[] = [];
    const options = { background: true, onanswer: (index: number) => seen.push(index) };
    const answers = await running.answers(pixels, masks, options);
    expectClose(answers.flatMap((logits) => Array.from(logits)), { values }, "answers"); // prettier-ignore
    expect(seen).toEqual(masks.map((_, i) => i));
    const counts = heard.map((replies) => replies.filter(({ kind }) => kind === "answer").length);
    expect(counts.filter(Boolean).length).toBe(3 - refused.length);
    expect(Math.max(...counts)).toBeLessThanOrEqual(Math.ceil(n / (3 - refused.length)));
    expect(workers.map(isClosed)).toEqual(workers.map((_, i) => i > 0));
  });

  it("they end where the job is aborted or the model closed, even while they start", async () => {
    for (const stop of ["abort", "close"] as const) {
      const { running, workers } = await startCrew(2);
      const ending = new AbortController();
      const job = running.answers(pixels, masks, { background: true, signal: ending.signal });
      if (stop === "abort") ending.abort();
      else running.close();
      await expect(job).rejects.toSatisfy((error) => nameOf(error) === "AbortError");
      expect(workers.slice(1).map(isClosed)).toEqual([true, true]);
    }
  });

  it("only many masks of a large model are worth them", () => {
    vi.stubGlobal("navigator", { hardwareConcurrency: 8 });
    expect([helpersFor(7e6, 332), helpersFor(7e6, 10), helpersFor(5e5, 332)]).toEqual([3, 0, 0]);
    vi.stubGlobal("navigator", { hardwareConcurrency: 2 });
    expect(helpersFor(7e6, 332)).toBe(1);
    vi.stubGlobal("navigator", undefined);
    expect(helpersFor(7e6, 332)).toBe(0);
    vi.unstubAllGlobals();
  });
});

it("a new picture drops the one under way, at its next step", async () => {
  const heard: Reply[] = [];
  const running = await start(heard);
  let second: Promise<unknown> | null = null;
  const first = running.explain(picture(pixels), () => {
    second ??= running.explain(picture(pixels));
  });
  await expect(first).rejects.toSatisfy((error) => nameOf(error) === "AbortError");
  await second;
  const steps = heard.filter(({ kind }) => kind === "step").map(({ id }) => id);
  const [one] = steps;
  expect(steps.filter((id) => id === one).length).toBeLessThan(model.numSteps);
  expect(heard.filter(({ kind }) => kind === "trace").length).toBe(1);
});

it("an aborted job ends, and what was aborted before does not start", async () => {
  const heard: Reply[] = [];
  const running = await start(heard);
  const abort = new AbortController();
  const masks = Array.from({ length: 50 }, () => null);
  const job = running.answers(pixels, masks, { signal: abort.signal, onanswer: () => abort.abort() });
  await expect(job).rejects.toSatisfy((error) => nameOf(error) === "AbortError");
  await running.answer(pixels);
  expect(heard.filter(({ kind }) => kind === "answer").length).toBeLessThan(masks.length);
  const late = running.answers(pixels, masks, { signal: abort.signal });
  await expect(late).rejects.toSatisfy((error) => nameOf(error) === "AbortError");
});

it("what runs in the background waits for what is asked now", async () => {
  const running = await start();
  const order: string[] = [];
  const background = running
    .answers(pixels, Array(20).fill(null), { background: true })
    .then(() => order.push("background"));
  const urgent = running.trace(picture(pixels)).then(() => order.push("now"));
  await Promise.all([background, urgent]);
  expect(order).toEqual(["now", "background"]);
});

it("says what is wrong with files, pictures and browsers", async () => {
  const damaged = startModel(about.config, file().slice(0, 1000), () => fakeWorker());
  await expect(damaged).rejects.toThrow("the weights file is cut short, damaged");
  const running = await start();
  await expect(running.answer(new Uint8Array(5))).rejects.toThrow("the picture has 5 values; ");
  expectClose(await running.answer(pixels), get("trace/logits"), "the next answer");
  const without = startModel(about.config, file(), () => {
    throw new Error("no Worker");
  });
  await expect(without).rejects.toThrow("this browser cannot run the model in the page: ");
});

it("a worker that stops rejects what is under way; closing does too", async () => {
  let worker: Worker | null = null;
  const running = await startModel(about.config, file(), () => (worker = fakeWorker()));
  const job = running.trace(picture(pixels));
  const failure = { message: "out of memory", preventDefault: () => undefined } as ErrorEvent;
  (worker as Worker | null)?.onerror?.(failure);
  await expect(job).rejects.toThrow("the model stopped: out of memory; choose the picture again");
  const other = await start();
  const last = other.trace(picture(pixels));
  other.close();
  await expect(last).rejects.toSatisfy((error) => nameOf(error) === "AbortError");
});
