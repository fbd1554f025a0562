// Three lengths: which steps each course has, in order. A model has those that are true for it.

import type { Course } from "../core/state.svelte.ts";
import { sum, wrong } from "./answer_steps.ts";
import { depth, oneHead, parts, queryKey } from "./attention_steps.ts";
import { readFacts, type Facts, type Subject } from "./facts.ts";
import { convolution, pixels, tokens, window } from "./input_steps.ts";
import { object } from "./object_step.ts";
import { bench, contribution, pool, whyPool } from "./pool_steps.ts";
import { blind, exact, removal, walkedBack } from "./trust_steps.ts";
import type { Step } from "./step.ts";

type Make = (facts: Facts) => Step | null;

const TOUR: readonly Make[] = [pixels, tokens, depth, pool, sum, wrong];
const LESSON: readonly Make[] = [
  pixels,
  convolution,
  tokens,
  window,
  queryKey,
  oneHead,
  depth,
  parts,
  pool,
  whyPool,
  contribution,
  object,
  bench,
  sum,
  wrong,
];
const TRUST: readonly Make[] = [exact, removal, object, walkedBack, blind, wrong];

/** Wrong answers after which the right one is said; the steps, and those whose takeaways end the course. */
interface Plan {
  readonly tries: number;
  readonly steps: readonly Make[];
  readonly kept: readonly string[];
}

export const PLANS: Readonly<Record<Course, Plan>> = {
  tour: { tries: 1, steps: TOUR, kept: ["pixels", "tokens", "depth", "pool", "wrong"] },
  lesson: { tries: 2, steps: LESSON, kept: ["tokens", "query_key", "parts", "contribution", "wrong"] },
  trust: { tries: 2, steps: TRUST, kept: ["exact", "removal", "rollout", "blind", "wrong"] },
};

/** How many takeaways end a course. */
const KEPT = 5;

/** The steps of a course that are true for this model; each name occurs once. */
export function makeSteps(course: Course, subject: Subject): Step[] {
  const facts = readFacts(subject),
    seen = new Set<string>();
  return PLANS[course].steps.flatMap((make) => {
    const step = make(facts);
    if (!step || seen.has(step.name)) return [];
    seen.add(step.name);
    return [step];
  });
}

/** The five sentences to keep, in the order of the steps. */
export function takeaways(course: Course, steps: readonly Step[]): string[] {
  const { kept } = PLANS[course],
    chosen = new Set(steps.filter(({ name }) => kept.includes(name)).map(({ name }) => name));
  for (const { name } of steps) if (chosen.size < KEPT) chosen.add(name);
  return steps.filter(({ name }) => chosen.has(name)).map(({ takeaway }) => takeaway);
}
