// Steps on what a map of an answer is worth.

import { argmax, descending, effectiveTokens, mean } from "../core/maths.ts";
import { shuffle } from "../core/random.ts";
import { firstToken, imageTokens } from "../derive/attention.ts";
import { poolWith } from "../derive/laboratory.ts";
import { rollout } from "../derive/rollout.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { fixed, percent } from "../i18n/numbers.ts";
import { askOption, type Facts } from "./facts.ts";
import { makeStep, type Step } from "./step.ts";

const DRAWS = 20; // random choices of tokens, to hold the strongest against
const STILL = 0.02; // share of a rollout that may move and still count as nothing

/** At which alpha rollout follows no attention at all. */
export function walkedBack(facts: Facts): Step {
  const { trace, n } = facts,
    layers = trace.config.numLayers,
    first = firstToken(trace);
  const mapAt = (alpha: number) => rollout(trace, { alpha })[layers],
    moved = (alpha: number) =>
      mapAt(alpha).reduce((total, share, i) => total + Math.abs(share - trace.readout[i]), 0) / 2,
    spread = (row: Float64Array | Float32Array) => fixed(effectiveTokens(row.subarray(first)), 1),
    whole = mapAt(0.5);
  return makeStep({
    name: "rollout",
    title: t("lesson.rollout.title"),
    text: [
      t("lesson.rollout.text"),
      first
        ? t("lesson.rollout.spread.token", { spread: spread(whole), count: n })
        : t("lesson.rollout.spread", { start: spread(trace.readout), spread: spread(whole), count: n }),
    ],
    question:
      moved(0.5) < STILL
        ? null
        : {
            text: t("lesson.rollout.question"),
            right: null,
            answer: t("lesson.rollout.answer"),
            control: {
              kind: "slider",
              label: t("lesson.rollout.alpha"),
              min: 0,
              max: 1,
              step: 0.05,
              start: 0.5,
              words: (value) => fixed(value, 2),
              live: (value) => t("lesson.rollout.moved", { share: percent(moved(value), 0) }),
              map: (value) => ({ values: imageTokens(trace, mapAt(value)), ramp: "share" }),
            },
            check: (value) => ({
              right: moved(value) < STILL,
              words: t(moved(value) < STILL ? "lesson.rollout.right" : "lesson.rollout.wrong", {
                share: percent(moved(value), 0),
              }),
            }),
          },
    reveal: t("lesson.rollout.reveal"),
    takeaway: t("lesson.rollout.takeaway"),
    stages: ["attention", "pool"],
    place: "attention",
    hides: false,
  });
}

/** (K,) probabilities when the pool leaves some tokens out; null where the score does not split or channels are shared. */
const without = ({ trace }: Facts, tokens: readonly number[]): ArrayLike<number> | null =>
  trace.poolingWeights ? (poolWith(trace, { kind: "model" }, new Set(tokens))?.probabilities ?? null) : null;

const CHANGES = ["falls", "little", "rises"] as const;
/** Changes below one point of per cent are little. */
const LITTLE = 0.01;

/** What happens without the tokens that add most. Null where the pool cannot leave tokens out. */
export function removal(facts: Facts): Step | null {
  const { trace, n, a, A, contribution } = facts,
    count = Math.max(1, Math.round(n / 12));
  const strongest = contribution && descending(contribution).slice(0, count),
    answer = strongest && without(facts, strongest);
  if (!strongest || !answer || count >= n) return null;
  const before = trace.probabilities[a],
    change = answer[a] - before,
    right = Math.abs(change) < LITTLE ? 1 : change < 0 ? 0 : 2;
  const draws = Array.from({ length: DRAWS }, (_, seed) => {
    const tokens = Array.from(
      shuffle(
        Array.from({ length: n }, (_one, token) => token),
        seed,
      ),
    ).slice(0, count);
    return without(facts, tokens)?.[a] ?? before;
  });
  const values = {
    label: A,
    count,
    from: percent(before),
    to: percent(answer[a]),
    random: percent(mean(draws)),
    draws: DRAWS,
    other: labelName(trace.labels[argmax(answer)]),
  };
  return makeStep({
    name: "removal",
    title: t("lesson.removal.title"),
    text: [t("lesson.removal.text", values)],
    question: askOption(
      t("lesson.removal.question", values),
      CHANGES.map((kind, id) => ({ id, text: t(`lesson.removal.${kind}`) })),
      right,
      t("lesson.removal.now", values),
      () => t("lesson.removal.now", values),
    ),
    reveal: t(argmax(answer) === a ? "lesson.removal.reveal" : "lesson.removal.reveal.other", values),
    takeaway: t(right === 0 ? "lesson.removal.takeaway" : "lesson.removal.takeaway.surprise"),
    stages: ["evidence", "sum"],
    place: "pool",
    light: strongest[0],
    map: { values: contribution, ramp: "signed" },
  });
}

/** Which map is the same for every class. */
export function blind(facts: Facts): Step {
  const { A, B, contribution } = facts,
    signed = contribution ? "contribution" : "evidence";
  return makeStep({
    name: "blind",
    title: t("lesson.blind.title"),
    text: [t("lesson.blind.text")],
    question: askOption(
      t("lesson.blind.question", { label: A, other: B }),
      [
        { id: 0, text: t(`method.${signed}`) },
        { id: 1, text: t("method.rollout") },
        { id: 2, text: t("method.contribution_rollout") },
      ].filter(({ id }) => id < 2 || contribution),
      1,
      t("lesson.blind.answer"),
      (id) => t(id === 1 ? "lesson.blind.right" : "lesson.blind.wrong", { label: A, other: B }),
    ),
    reveal: t("lesson.blind.reveal", { label: A, other: B }),
    takeaway: t("lesson.blind.takeaway"),
    stages: ["attention", "evidence"],
    place: "attention",
  });
}

/** What the sum of a map says, and what it does not. */
export function exact(facts: Facts): Step | null {
  const { trace, a, A, contribution } = facts;
  if (!contribution) return null;
  const right = 1;
  return makeStep({
    name: "exact",
    title: t("lesson.exact.title"),
    text: [t("lesson.exact.text", { label: A })],
    question: askOption(
      t("lesson.exact.question"),
      (["cause", "sum", "object"] as const).map((kind, id) => ({ id, text: t(`lesson.exact.${kind}`) })),
      right,
      t("lesson.exact.answer"),
      (id) => t((["lesson.exact.cause.why", "lesson.exact.sum.why", "lesson.exact.object.why"] as const)[id]),
    ),
    reveal: t("lesson.exact.reveal", { label: A, share: percent(trace.probabilities[a]) }),
    takeaway: t("lesson.exact.takeaway"),
    stages: ["evidence", "sum"],
    place: "pool",
    map: { values: contribution, ramp: "signed" },
  });
}
