/** Many passes dealt to several workers, each with a model of its own, where that pays. */

import type { AnswersOptions, RunningModel } from "./runner.ts";

const MOST_HELPERS = 3; // each has a copy of the model
const MANY_MASKS = 64;
const LARGE = 2e6; // bytes of a weights' file; smaller models answer more quickly than a helper starts

/** How many workers beside its own a model should start for so many masks. */
export function helpersFor(bytes: number, masks: number): number {
  const cores = globalThis.navigator?.hardwareConcurrency ?? 1;
  return bytes < LARGE || masks < MANY_MASKS ? 0 : Math.max(0, Math.min(MOST_HELPERS, cores - 1));
}

/**
 * The answers of `ask` to each of the masks, dealt one by one to all workers.
 * @param asks one for each worker
 */
export async function answerTogether(
  asks: readonly RunningModel["answers"][],
  pixels: Uint8Array,
  masks: Parameters<RunningModel["answers"]>[1],
  options: AnswersOptions,
): Promise<Float32Array[]> {
  const told = options.onanswer && inOrder(options.onanswer);
  const answers = new Array<Float32Array>(masks.length);
  await Promise.all(
    asks.map((ask, first) => {
      const onanswer = (at: number, logits: Float32Array) => {
        const index = first + at * asks.length;
        answers[index] = logits;
        told?.(index, logits);
      };
      const share = masks.filter((_, index) => index % asks.length === first);
      return ask(pixels, share, { ...options, onanswer });
    }),
  );
  return answers;
}

type OnAnswer = NonNullable<AnswersOptions["onanswer"]>;

/** Tells what comes in any order in the order of the masks. */
function inOrder(tell: OnAnswer): OnAnswer {
  const early = new Map<number, Float32Array>();
  let next = 0;
  return (index, logits) => {
    early.set(index, logits);
    for (let found = early.get(next); found; found = early.get(next)) {
      early.delete(next);
      tell(next++, found);
    }
  };
}
