// Steps on the answer: from the sum to a probability, and when it is wrong.

import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { fixed, grouped, percent, precise, signed } from "../i18n/numbers.ts";
import { askOption, type Facts } from "./facts.ts";
import { type Example, makeStep, type Question, type Step } from "./step.ts";

/** What softmax, or the sigmoid, makes of the scores. */
export function sum(facts: Facts): Step {
  const { trace, a, A, b, B } = facts,
    kind = trace.config.output,
    score = trace.logits[a],
    next = trace.logits[b];
  const values = {
    label: A,
    other: B,
    score: signed(score),
    next: signed(next),
    exponent: signed(score).replace("+", ""),
    share: percent(trace.probabilities[a]),
    power: precise(Math.exp(score), 4),
    total: precise(
      trace.logits.reduce((all, logit) => all + Math.exp(logit), 0),
      4,
    ),
    gap: fixed(score - next, 2),
    factor: factorWords(Math.exp(score - next)),
    sum: percent(trace.probabilities.reduce((all, share) => all + share, 0)),
  };
  return makeStep({
    name: "sum",
    title: t("lesson.sum.title"),
    text: [
      t(trace.config.hasClassToken ? "lesson.sum.text.token" : "lesson.sum.text", values),
      ...(kind === "softmax" ? [t("lesson.sum.text.softmax")] : []),
    ],
    question: kind === "softmax" ? askFactor(score - next, values) : askTotal(values),
    reveal: t(`lesson.sum.reveal.${kind}`, values),
    takeaway: t(`lesson.sum.takeaway.${kind}`),
    stages: ["sum", "classes"],
    place: "classes",
  });
}

/** From this gap on, adding the gap and powers of 2 are told apart from powers of e. */
const WIDE = 1.2;

/** How many times as probable the answer is: a difference of scores is a ratio of probabilities. */
function askFactor(gap: number, values: Record<string, string>): Question | null {
  const right = factorWords(Math.exp(gap)),
    factors = gap >= WIDE ? [1 + gap, 2 ** gap, Math.exp(gap)] : [1, Math.exp(gap), 10 ** gap];
  const words = [...new Set(factors.map(factorWords))];
  return askOption(
    t("lesson.sum.question.softmax", values),
    words.map((factor, id) => ({ id, text: t("lesson.sum.times", { factor }) })),
    words.indexOf(right),
    t("lesson.itIs", { answer: t("lesson.sum.times", { factor: right }) }),
    () => t("lesson.sum.lead"),
  );
}

/** With sigmoid outputs the probabilities sum to anything. */
const askTotal = (values: Record<string, string>): Question | null =>
  askOption(
    t("lesson.sum.question.sigmoid", values),
    [
      { id: 0, text: t("lesson.sum.always") },
      { id: 1, text: t("lesson.sum.depends") },
    ],
    1,
    t("lesson.sum.depends.why", values),
    () => t("lesson.sum.depends.why", values),
  );

/** "158", "1.3" */
const factorWords = (factor: number): string => (factor < 10 ? fixed(factor, 1) : grouped(Math.round(factor)));

/** When it is wrong, and what the map cannot say. */
export function wrong(facts: Facts): Step {
  const { trace, verdict, truth, A, a, k } = facts,
    share = percent(trace.probabilities[a]),
    isWrong = verdict === "wrong" && truth !== null;
  const values = { label: A, share, count: k, truth: truth === null ? "" : labelName(trace.labels[truth]) };
  const asksForMap = isWrong || trace.config.output === "sigmoid";
  return makeStep({
    name: "wrong",
    title: t(isWrong ? "lesson.wrong.title.wrong" : "lesson.wrong.title"),
    text: [
      t(
        isWrong ? "lesson.wrong.text.wrong" : verdict === "other" ? "lesson.wrong.text.other" : "lesson.wrong.text",
        values,
      ),
    ],
    question: asksForMap ? askMap() : askUnknown(facts),
    reveal: t(asksForMap ? "lesson.wrong.reveal.map" : "lesson.wrong.reveal", values),
    example: exampleOf(facts),
    takeaway: t("lesson.wrong.takeaway"),
    stages: ["evidence", "sum", "classes"],
    place: "classes",
  });
}

const askMap = (): Question | null =>
  askOption(
    t("lesson.wrong.map.question"),
    [
      { id: 0, text: t("lesson.wrong.map.yes") },
      { id: 1, text: t("lesson.wrong.map.no") },
    ],
    1,
    t("lesson.wrong.map.answer"),
    (id) => t(id === 1 ? "lesson.wrong.map.right" : "lesson.wrong.map.answer"),
  );

function askUnknown({ k }: Facts): Question | null {
  const words = ["lesson.wrong.none", "lesson.wrong.class", "lesson.wrong.even"] as const;
  return askOption(
    t("lesson.wrong.question", { count: k }),
    words.map((key, id) => ({ id, text: t(key, { count: k }) })),
    1,
    t("lesson.wrong.answer", { count: k }),
    (id) =>
      t((["lesson.wrong.none.why", "lesson.wrong.class.why", "lesson.wrong.even.why"] as const)[id], { count: k }),
  );
}

/** The surest answer of the gallery that is wrong or cannot be right. */
function exampleOf({ others, contribution }: Facts): Example | null {
  const [worst] = others
    .filter(({ verdict }) => verdict === "other" || verdict === "wrong")
    .sort((one, other) => other.probability - one.probability);
  if (!worst) return null;
  const { id, name, probability } = worst,
    label = labelName(worst.label);
  return {
    id,
    words: t("lesson.wrong.example", { name, label, share: percent(probability) }),
    ofMap: contribution ? t("lesson.wrong.example.map", { label }) : "",
  };
}
