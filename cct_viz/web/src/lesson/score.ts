// Answers as they are recorded and counted.

import type { Marking, Step } from "./step.ts";

/** What was answered to one step, on one picture under one model. */
export interface Answer {
  /** Each try, in order. */
  readonly given: readonly number[];
  readonly right: boolean;
  /** What the last try was about. */
  readonly marking: Marking;
  /** Names picture and model. */
  readonly subject: string;
}

/** By the step's name. */
export type Record = Readonly<{ [name: string]: Answer | undefined }>;

/** The answer with one more try; a right one is final, and another picture starts with no tries. */
export function withTry(
  before: Answer | undefined,
  { given, ...latest }: Omit<Answer, "given"> & { readonly given: number },
): Answer {
  const same = before?.subject === latest.subject ? before : undefined;
  if (same?.right) return same;
  return { ...latest, given: [...(same?.given ?? []), given] };
}

/** Whether the right answer is shown: it was given, or the tries are used up. */
export const isRevealed = (answer: Answer | undefined, tries: number): boolean =>
  answer !== undefined && (answer.right || answer.given.length >= tries);

export interface Score {
  readonly asked: number;
  readonly answered: number;
  readonly right: number;
  readonly firstTry: number;
}

export function scoreOf(steps: readonly Step[], record: Record): Score {
  const asked = steps.filter(({ question }) => question),
    answers = asked.flatMap(({ name }) => record[name] ?? []),
    right = answers.filter((answer) => answer.right);
  return {
    asked: asked.length,
    answered: answers.length,
    right: right.length,
    firstTry: right.filter(({ given }) => given.length === 1).length,
  };
}

/** Where a step is among the steps of another model; the first where it has no such step. */
export const indexOf = (steps: readonly Step[], name: string): number =>
  Math.max(
    0,
    steps.findIndex((step) => step.name === name),
  );
