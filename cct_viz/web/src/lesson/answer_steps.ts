// Steps on the answer: from the sum to a probability, and when it is wrong.

import { t } from "../i18n/index.ts";
import { percent, signed } from "../i18n/numbers.ts";
import { apart } from "./attention_steps.ts";
import { askOption, type Facts } from "./facts.ts";
import { makeStep, type Question, type Step } from "./step.ts";

/** What softmax, or the sigmoid, makes of the score. */
export function sum(facts: Facts): Step {
  const { trace, a, A, b, B, k } = facts,
    kind = trace.config.output,
    score = trace.logits[a],
    next = trace.logits[b],
    share = trace.probabilities[a];
  const positive = trace.logits.reduce((total, logit) => total + Math.max(0, logit), 0),
    total = trace.logits.reduce((all, logit) => all + Math.exp(logit), 0);
  const shares = apart([share, positive > 0 ? Math.max(0, score) / positive : 0.5, 1 / k, 0.5, 0.9]),
    right = shares.indexOf(share);
  const values = {
    label: A,
    other: B,
    score: signed(score),
    next: signed(next),
    share: percent(share),
    power: Math.exp(score).toPrecision(4),
    total: total.toPrecision(4),
    gap: (score - next).toFixed(2),
    factor: factorWords(Math.exp(score - next)),
  };
  return makeStep({
    name: "sum",
    title: t("lesson.sum.title"),
    text: [t(trace.config.hasClassToken ? "lesson.sum.text.token" : "lesson.sum.text", values)],
    question: askOption(
      t(`lesson.sum.question.${kind}`, values),
      shares.map((one, id) => ({ id, text: percent(one, 0) })),
      right,
      t("lesson.itIs", { answer: percent(share) }),
      (id) => t(id === right ? "lesson.sum.right" : shares[id] < share ? "lesson.sum.more" : "lesson.sum.less", values),
    ),
    reveal: t(`lesson.sum.reveal.${kind}`, values),
    takeaway: t(`lesson.sum.takeaway.${kind}`),
    stages: ["sum", "classes"],
    place: "classes",
  });
}

/** "158 times", "1.3 times" */
const factorWords = (factor: number): string =>
  factor < 10 ? factor.toFixed(1) : Math.round(factor).toLocaleString("en");

/** When it is wrong, and what the map cannot say. */
export function wrong(facts: Facts): Step {
  const { trace, verdict, truth, A, a, k } = facts,
    share = percent(trace.probabilities[a]),
    isWrong = verdict === "wrong" && truth !== null;
  const values = { label: A, share, count: k, truth: truth === null ? "" : trace.labels[truth] };
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
    reveal: `${t(asksForMap ? "lesson.wrong.reveal.map" : "lesson.wrong.reveal", values)}${exampleWords(facts)}`,
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
function exampleWords({ others }: Facts): string {
  const [worst] = others
    .filter(({ verdict }) => verdict === "other" || verdict === "wrong")
    .sort((one, other) => other.probability - one.probability);
  if (!worst) return "";
  return ` ${t("lesson.wrong.example", { name: worst.name, label: worst.label, share: percent(worst.probability) })}`;
}
