// A step on what the model uses, the object or its surroundings. The person says where the object is.

import { sum } from "../core/maths.ts";
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

/** (H, W, 3) each, in the picture's mean colour: the marked patches, all others, and all patches. */
function covers(trace: Trace, marked: ReadonlySet<number>): Uint8Array[] {
  const hidden = [(token: number) => marked.has(token), (token: number) => !marked.has(token), () => true];
  return hidden.map((isHidden) => cover(trace, tokensWhere(trace.config.numTokens, isHidden)));
}

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

/** What the model answers without the marked patches, with nothing else, and to one colour. */
function judge(facts: Facts, given: number, { marked, answers }: Marking): Judged {
  const { trace, n, a, A, contribution } = facts,
    [without, alone, blank] = answers.map((logits) => probabilitiesOf(trace.config.output, logits)[a]),
    from = trace.probabilities[a],
    best = lossOf(from, without);
  const values = {
    label: A,
    area: percent(marked.size / n),
    from: percent(from),
    without: percent(without),
    alone: percent(alone),
    blank: percent(blank),
  };
  const sentences = [
    t("lesson.object.reveal", values),
    t(`lesson.object.${verdictOf(from, without, alone, blank)}`, values),
  ];
  const share = contribution && sum([...marked].map((token) => contribution[token])) / sum(contribution);
  if (share !== null && share >= 0 && share <= 1)
    sentences.push(t("lesson.object.share", { label: A, share: percent(share) }));
  const pictures = covers(trace, marked);
  return {
    right: given === best,
    best,
    words: given === best ? sentences[0] : t(given < best ? "lesson.object.less" : "lesson.object.more"),
    reveal: sentences.join(" "),
    pictures: (["without", "alone", "blank"] as const).map((left, i) => ({
      pixels: pictures[i],
      words: t(`lesson.object.left.${left}`, values),
    })),
  };
}

/** What keeps half or more of what the picture gives beyond one colour. */
function verdictOf(from: number, without: number, alone: number, blank: number) {
  if (blank >= from / 2) return "little";
  const isEnough = (probability: number): boolean => probability - blank >= (from - blank) / 2;
  if (isEnough(alone)) return isEnough(without) ? "either" : "object";
  return isEnough(without) ? "surroundings" : "both";
}
