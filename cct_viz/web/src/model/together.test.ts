import { expect, test } from "vitest";
import type { RunningModel } from "./runner.ts";
import { answerTogether } from "./together.ts";

type Ask = RunningModel["answers"];
const MASKS = Array.from({ length: 7 }, (_, index) => [index]);

/** Answers each mask with its own number; after `most` answers it fails. */
const worker =
  (most = Infinity): Ask =>
  async (_pixels, masks, options) => {
    for (const [at, mask] of masks.entries()) {
      if (at === most) throw new RangeError("out of memory");
      options?.onanswer?.(at, Float32Array.of(mask?.[0] ?? -1));
    }
    return [];
  };

test("what a helper cannot answer the model's own worker answers, and all is told in order", async () => {
  const order: number[] = [];
  const answers = await answerTogether([worker(), worker(1), worker(0)], Uint8Array.of(), MASKS, {
    onanswer: (index) => order.push(index),
  });
  expect(answers.map(([value]) => value)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test("what the model's own worker cannot answer is an error", async () => {
  await expect(answerTogether([worker(1), worker()], Uint8Array.of(), MASKS, {})).rejects.toThrow("out of memory");
});
