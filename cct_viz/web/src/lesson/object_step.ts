// A step on what the model uses, the object or its surroundings. The person says where the object is.

import { argmax, sum } from "../core/maths.ts";
import { coverBoxes } from "../derive/ablation.ts";
import { t } from "../i18n/index.ts";
import { percent } from "../i18n/numbers.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Trace } from "../model/trace.ts";
import { tokensWhere, type Facts } from "./facts.ts";
import { makeStep, type Judged, type Marking, type Step } from "./step.ts";

const LOSSES = ["half", "some", "none"] as const;
const lossOf = (from: number, to: number): number => (to <= from / 2 ? 0 : to < 0.9 * from ? 1 : 2);
/** Somebody holds it in about two thirds of the photos that the model for photos was trained with. */
const HELD = "tench";

/** Null where the model cannot be asked about other pictures, or has one token. */
export function object(facts: Facts): Step | null {
  const { trace, n, a, A, canAsk } = facts;
  if (!canAsk || n === 1) return null;
  return makeStep({
    name: "object",
    title: t("lesson.object.title"),
    text: [t("lesson.object.text"), ...(trace.labels[a] === HELD ? [t("lesson.object.held", { label: A })] : [])],
    question: {
      text: t("lesson.object.question", { label: A }),
      right: null,
      answer: null,
      control: {
        kind: "choice",
        options: LOSSES.map((loss, id) => ({ id, text: t(`lesson.object.${loss}`) })),
        pictures: (marked) => covers(trace, marked),
      },
      check: (given, marking) => judge(facts, given, marking),
    },
    reveal: t("lesson.object.depends"),
    takeaway: t("lesson.object.takeaway"),
    stages: ["pixels"],
    place: "pixels",
  });
}

/** (H, W, 3) each: the marked patches in the picture's mean colour, then all others. */
const covers = (trace: Trace, marked: ReadonlySet<number>): Uint8Array[] =>
  [true, false].map((hides) =>
    cover(
      trace,
      tokensWhere(trace.config.numTokens, (token) => marked.has(token) === hides),
    ),
  );

function cover({ pixels, config: { imageSize }, grid: { rows, columns } }: Trace, tokens: number[]): Uint8Array {
  const [height, width] = imageSize,
    edge = (index: number, length: number, count: number) => Math.round((index * length) / count);
  const boxes = tokens.flatMap((token) => {
    const row = Math.floor(token / columns),
      column = token % columns;
    return [
      edge(row, height, rows),
      edge(column, width, columns),
      edge(row + 1, height, rows),
      edge(column + 1, width, columns),
    ];
  });
  return coverBoxes(pixels, imageSize, boxes, "mean");
}

/** What the model answers without the marked patches, and with nothing else. */
function judge(facts: Facts, given: number, { marked, answers }: Marking): Judged {
  const { trace, n, a, A, contribution } = facts,
    probabilities = answers.map((logits) => probabilitiesOf(trace.config.output, logits)),
    [without, alone] = probabilities.map((all) => all[a]),
    from = trace.probabilities[a],
    best = lossOf(from, without);
  /** Whether what is left suffices: the same answer, with half of its probability or more. */
  const [surroundings, object] = probabilities.map((all) => argmax(all) === a && all[a] >= from / 2);
  const values = {
    label: A,
    area: percent(marked.size / n),
    from: percent(from),
    without: percent(without),
    alone: percent(alone),
  };
  const sentences = [
    t("lesson.object.reveal", values),
    t(`lesson.object.${object ? (surroundings ? "either" : "object") : surroundings ? "surroundings" : "both"}`),
  ];
  const share = contribution && sum([...marked].map((token) => contribution[token])) / sum(contribution);
  if (share !== null && share >= 0 && share <= 1) sentences.push(t("lesson.object.share", { share: percent(share) }));
  const [withoutIt, onlyIt] = covers(trace, marked);
  return {
    right: given === best,
    best,
    words: given === best ? sentences[0] : t(given < best ? "lesson.object.less" : "lesson.object.more"),
    reveal: sentences.join(" "),
    pictures: [
      { pixels: withoutIt, words: t("lesson.object.without", values) },
      { pixels: onlyIt, words: t("lesson.object.alone", values) },
    ],
  };
}
