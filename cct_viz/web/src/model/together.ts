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
 * The answers to each of the masks, dealt one by one to all workers.
 * @param asks one for each worker; the first also answers what another one could not
 */
export async function answerTogether(
  asks: readonly RunningModel["answers"][],
  pixels: Uint8Array,
  masks: Parameters<RunningModel["answers"]>[1],
  options: AnswersOptions,
): Promise<Float32Array[]> {
  const tell = options.onanswer && inOrder(options.onanswer);
  const answers = new Array<Float32Array>(masks.length);
  const deal = (ask: RunningModel["answers"], indices: readonly number[]) => {
    const onanswer = (at: number, logits: Float32Array) => {
      answers[indices[at]] = logits;
      tell?.(indices[at], logits);
    };
    return ask(
      pixels,
      indices.map((index) => masks[index]),
      { ...options, onanswer },
    );
  };
  const all = [...masks.keys()];
  await Promise.all(
    asks.map(async (ask, first) => {
      const share = all.filter((index) => index % asks.length === first);
      try {
        await deal(ask, share);
      } catch (error) {
        if (first === 0 || options.signal?.aborted) throw error;
        await deal(
          asks[0],
          share.filter((index) => !answers[index]),
        ); // a helper had too little memory
      }
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
