// What the steps know of one picture, and the two questions that most of them ask: for one of some patches, for a token.

import type { Verdict } from "../core/answer.ts";
import { argmax, descending, maximum } from "../core/maths.ts";
import { contrast } from "../derive/contrast.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import type { Trace } from "../model/trace.ts";
import type { Question } from "./step.ts";

/** Another picture of the gallery with the model's answer. */
export interface Other {
  readonly id: string;
  readonly name: string;
  readonly verdict: Verdict;
  readonly label: string;
  readonly probability: number;
}

/** What the lesson is about. */
export interface Subject {
  readonly trace: Trace;
  /** Index of the class that people gave the picture, or null. */
  readonly truth: number | null;
  readonly verdict: Verdict;
  readonly others: readonly Other[];
  /** Whether the page can run the model on other pictures. */
  readonly canAsk: boolean;
}

export interface Facts extends Subject {
  readonly n: number;
  readonly k: number;
  /** The model's answer, the class after it, and their names. */
  readonly a: number;
  readonly b: number;
  readonly A: string;
  readonly B: string;
  /** (N,) logits for the answer. */
  readonly evidence: Float64Array;
  /** (N,) logits for the answer; null with a class token. */
  readonly contribution: Float64Array | null;
  /** "row 3, column 2", and the same at the start of a sentence. */
  readonly at: (token: number) => string;
  readonly At: (token: number) => string;
}

export function readFacts(subject: Subject): Facts {
  const { trace } = subject,
    { numTokens: n, numClasses: k } = trace.config,
    { columns } = trace.grid;
  const a = argmax(trace.probabilities),
    b = descending(trace.logits).find((c) => c !== a) ?? a;
  const where = (token: number) => ({ row: Math.floor(token / columns) + 1, column: (token % columns) + 1 });
  return {
    ...subject,
    n,
    k,
    a,
    b,
    A: labelName(trace.labels[a]),
    B: labelName(trace.labels[b]),
    evidence: contrast(trace.evidence, k, a),
    contribution: trace.contributions && contrast(trace.contributions, k, a),
    at: (token) => t("token.place", where(token)),
    At: (token) => t("equation.place", where(token)),
  };
}

/** Values that differ by less than this share of the largest are alike. */
const ALIKE = 1e-3;
/** A patch that is offered beside the largest must lie below it by this share of the range. */
const CLEARLY = 0.2;
const OFFERED = 3;

export function isAlike(values: ArrayLike<number>): boolean {
  const list = Array.from(values),
    top = maximum(list);
  return !(top - Math.min(...list) > ALIKE * Math.max(...list.map(Math.abs)));
}

/**
 * The token with the largest value and two clearly smaller ones, in reading order: the one in the picture's middle, which
 * people guess, and one from the lower half. Null where all values are alike, or nothing is clearly smaller.
 */
export function candidates({ trace: { grid } }: Facts, values: ArrayLike<number>): number[] | null {
  if (isAlike(values)) return null;
  const order = descending(values),
    top = order[0],
    range = values[top] - values[order[order.length - 1]];
  const middle = Math.floor(grid.rows / 2) * grid.columns + Math.floor(grid.columns / 2);
  const far = (s: number, u: number): boolean =>
    Math.abs(Math.floor(s / grid.columns) - Math.floor(u / grid.columns)) > 1 ||
    Math.abs((s % grid.columns) - (u % grid.columns)) > 1;
  const chosen = [top];
  const lower = order.slice(Math.floor(order.length / 2));
  for (const apart of [true, false]) {
    for (const token of [middle, ...lower, ...order]) {
      const fits = values[token] <= values[top] - CLEARLY * range && !chosen.includes(token);
      if (chosen.length < OFFERED && fits && (!apart || chosen.every((one) => far(one, token)))) chosen.push(token);
    }
  }
  return chosen.length > 1 ? chosen.sort((s, u) => s - u) : null;
}

interface PatchWords {
  readonly text: string;
  /** A token's value in words. */
  readonly read: (token: number) => string;
}

/** Which of some patches has the largest value? Null where they are all alike. */
export function askPatch(facts: Facts, values: ArrayLike<number>, { text, read }: PatchWords): Question | null {
  const offered = candidates(facts, values);
  if (!offered) return null;
  const { At, at, n } = facts,
    top = argmax(values);
  return {
    text,
    right: top,
    control: { kind: "choice", options: offered.map((token) => ({ id: token, token, text: at(token) })) },
    answer: t("lesson.isRight", { place: At(top), value: read(top) }),
    check: (token) => ({
      right: token === top,
      words: t("lesson.ranked", { place: At(token), value: read(token), rank: rankOf(values, token), count: n }),
    }),
  };
}

/** 1 for the largest; equal values share a rank. */
export const rankOf = (values: ArrayLike<number>, token: number): number =>
  1 + Array.from(values).filter((value) => value > values[token]).length;

interface TokenWords extends PatchWords {
  /** What is missing in a wrong token. */
  readonly why: (token: number) => string;
}

/** Choose one of the tokens that are right, the best example first. Null where no token or every token is right. */
export function askToken({ n, At }: Facts, right: readonly number[], { text, read, why }: TokenWords): Question | null {
  if (!right.length || right.length === n) return null;
  return {
    text,
    right: null,
    control: { kind: "token" },
    answer: t("lesson.isRight", { place: At(right[0]), value: read(right[0]) }),
    check(token) {
      const isRight = right.includes(token),
        words = t("lesson.reads", { place: At(token), value: read(token) });
      return { right: isRight, words: isRight ? words : `${words} ${why(token)}` };
    },
  };
}

/** Indices of the tokens that pass. */
export const tokensWhere = (n: number, passes: (token: number) => boolean): number[] =>
  Array.from({ length: n }, (_, token) => token).filter(passes);

/** A question with options in words. `words` says what a chosen option is worth. */
export function askOption(
  text: string,
  options: readonly { id: number; text: string }[],
  right: number,
  answer: string,
  words: (id: number) => string,
): Question | null {
  if (options.length < 2) return null;
  return {
    text,
    right,
    answer,
    control: { kind: "choice", options },
    check: (id) => ({ right: id === right, words: words(id) }),
  };
}
