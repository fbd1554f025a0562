// A step on what the model uses, the thing or what is around it. The person says where the thing is.

import { sum } from "../core/maths.ts";
import { coverBoxes } from "../derive/ablation.ts";
import { t } from "../i18n/index.ts";
import { percent } from "../i18n/numbers.ts";
import { probabilitiesOf } from "../model/make_trace.ts";
import type { Trace } from "../model/trace.ts";
import { tokensWhere, type Facts } from "./facts.ts";
import { frameOf } from "./frames.ts";
import { makeStep, type Judged, type Marking, type Step } from "./step.ts";

const LOSSES = ["half", "some", "none"] as const;
/** Smaller changes of a probability are hardly any. */
const LITTLE = 0.05;
const lossOf = (from: number, to: number): number => (to < from / 2 ? 0 : to < from - LITTLE ? 1 : 2);
/** A class of which most training photos show somebody who holds it. */
const HELD = "tench";

export function object(facts: Facts): Step {
  const { trace, n, a, A } = facts;
  return makeStep({
    name: "object",
    title: t("lesson.object.title"),
    text: [t("lesson.object.text"), ...(trace.labels[a] === HELD ? [t("lesson.object.held", { label: A })] : [])],
    question: {
      text: t("lesson.object.question", { label: A }),
      right: null,
      answer: t("lesson.object.depends"),
      control: {
        kind: "choice",
        options: LOSSES.map((loss, id) => ({ id, text: t(`lesson.object.${loss}`) })),
        pictures: (marked) => [marked, tokensWhere(n, (token) => !marked.has(token))].map((all) => cover(trace, all)),
      },
      check: (given, marking) => judge(facts, given, marking),
    },
    reveal: t("lesson.object.depends"),
    takeaway: t("lesson.object.takeaway"),
    stages: ["pixels"],
    place: "pixels",
  });
}

/** (H, W, 3) with the patches of some tokens in the picture's mean colour. */
function cover(trace: Trace, tokens: Iterable<number>): Uint8Array {
  const boxes = [...tokens].flatMap((token) => {
    const { x, y, width, height } = frameOf(trace, token, false);
    return [y, x, y + height, x + width].map(Math.round);
  });
  return coverBoxes(trace.pixels, trace.config.imageSize, boxes, "mean");
}

/** What the model answers without the marked patches, and with nothing else. */
function judge({ trace, n, a, A, contribution }: Facts, given: number, { marked, answers }: Marking): Judged {
  const [without, alone] = answers.map((logits) => probabilitiesOf(trace.config.output, logits)[a]),
    from = trace.probabilities[a],
    best = lossOf(from, without),
    isEnough = lossOf(from, alone) !== 0;
  const values = {
    label: A,
    area: percent(marked.size / n, 0),
    from: percent(from),
    without: percent(without),
    alone: percent(alone),
  };
  const said = [
    t("lesson.object.reveal", values),
    t(`lesson.object.${best === 2 ? (isEnough ? "either" : "around") : isEnough ? "thing" : "both"}`),
  ];
  const total = contribution ? sum(contribution) : 0;
  if (contribution && total > 0) {
    const share = sum([...marked].map((token) => contribution[token])) / total;
    said.push(t("lesson.object.share", { share: percent(share, 0) }));
  }
  return {
    right: given === best,
    best,
    words: t(
      given === best ? "lesson.object.right" : given < best ? "lesson.object.less" : "lesson.object.more",
      values,
    ),
    reveal: said.join(" "),
    pictures: [
      { pixels: cover(trace, marked), words: t("lesson.object.without", values) },
      {
        pixels: cover(
          trace,
          tokensWhere(n, (token) => !marked.has(token)),
        ),
        words: t("lesson.object.alone", values),
      },
    ],
  };
}
