// Steps on attention: queries and keys, one head, what depth changes, and what attention and MLP write.

import { argmax, descending, maximum, sum } from "../core/maths.ts";
import { attentionMatrix, firstToken } from "../derive/attention.ts";
import { contrastOf, usual } from "../derive/contrast.ts";
import { readLens, type Depth } from "../derive/depth.ts";
import { attributeLogits, type Part } from "../derive/direct_logit_attribution.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { percent, signed } from "../i18n/numbers.ts";
import { findBlock } from "../model/blocks.ts";
import type { Trace } from "../model/trace.ts";
import { askOption, askPatch, askToken, tokensWhere, type Facts } from "./facts.ts";
import { makeStep, type Question, type Step } from "./step.ts";

/** (N,) shares that an image token gives to the image tokens. */
function rowOf(trace: Trace, layer: number, head: number | null, token: number): Float32Array {
  const m = trace.config.sequenceLength,
    first = firstToken(trace),
    from = (token + first) * m;
  return attentionMatrix(trace, layer, head).subarray(from + first, from + m);
}

/** The head of the last layer whose tokens attend most to one single token; null where heads are not known. */
function sharpest({ trace, n }: Facts): { layer: number; head: number | null; peaks: number[] } {
  const layer = trace.config.numLayers - 1,
    heads = trace.attentions ? Array.from({ length: trace.config.numHeads }, (_, head) => head) : [null];
  const peaks = heads.map((head) =>
      tokensWhere(n, () => true).map((token) => maximum(rowOf(trace, layer, head, token))),
    ),
    best = argmax(peaks.map(sum));
  return { layer, head: heads[best], peaks: peaks[best] };
}

const headName = (layer: number, head: number | null): string =>
  head === null ? t("lesson.layer", { layer: layer + 1 }) : t("lesson.layerHead", { layer: layer + 1, head: head + 1 });

/** To which patch one token attends most. */
export function queryKey(facts: Facts): Step {
  const { trace, n, at, At, contribution, evidence } = facts,
    { layer, head } = sharpest(facts),
    query = argmax(contribution ?? evidence),
    row = rowOf(trace, layer, head, query);
  return makeStep({
    name: "query_key",
    title: t("lesson.queryKey.title"),
    text: [t("lesson.queryKey.text"), t("lesson.queryKey.frame", { name: headName(layer, head), place: at(query) })],
    question: askPatch(facts, row, {
      text: t("lesson.queryKey.question"),
      read: (token) => t("lesson.queryKey.read", { share: percent(row[token]) }),
    }),
    reveal: t("lesson.queryKey.reveal", {
      place: At(argmax(row)),
      share: percent(maximum(row)),
      even: percent(1 / trace.config.sequenceLength),
      count: trace.config.sequenceLength,
    }),
    takeaway: t("lesson.queryKey.takeaway"),
    stages: ["attention"],
    place: "attention",
    light: query,
    framed: query,
    layer,
    head,
    map: { values: Array.from({ length: n }, (_, token) => row[token]), ramp: "share" },
  });
}

/** Find a token that attends strongly to one single token. */
export function oneHead(facts: Facts): Step {
  const { trace, n, at } = facts,
    { layer, head, peaks } = sharpest(facts),
    order = descending(peaks);
  const target = Math.floor(1000 * peaks[order[Math.max(1, Math.floor(n / 5)) - 1]]) / 1000,
    from = (token: number) => argmax(rowOf(trace, layer, head, token)),
    reached = order.filter((token) => Math.round(1000 * peaks[token]) >= Math.round(1000 * target));
  return makeStep({
    name: "head",
    title: t(head === null ? "lesson.head.title.all" : "lesson.head.title"),
    text: [t("lesson.head.text", { name: headName(layer, head), even: percent(1 / trace.config.sequenceLength) })],
    question: askToken(facts, reached, {
      text: t("lesson.head.question", { share: percent(target) }),
      read: (token) => t("lesson.head.read", { share: percent(peaks[token]), place: at(from(token)) }),
      why: () => t("lesson.head.why"),
    }),
    reveal: t("lesson.head.reveal", {
      place: at(order[0]),
      share: percent(peaks[order[0]]),
      key: at(from(order[0])),
      other: at(order[n - 1]),
      least: percent(peaks[order[n - 1]]),
    }),
    takeaway: t("lesson.head.takeaway"),
    stages: ["attention"],
    place: "attention",
    light: order[0],
    layer,
    head,
    hides: false,
  });
}

/** What the model would answer before any attention. Where the depths are not known: to which patch a token attends. */
export function depth(facts: Facts): Step {
  const lens = readLens(facts.trace);
  if (!lens || facts.trace.config.numLayers < 1) return queryKey(facts);
  const { a, A, trace } = facts,
    [first] = lens,
    early = argmax(first.probabilities),
    changes = early !== a;
  const winners = lens.map(({ probabilities }) => argmax(probabilities));
  const kind = changes ? "changes" : first.probabilities[a] < trace.probabilities[a] ? "stronger" : "weaker";
  return makeStep({
    name: "depth",
    title: t(changes ? "lesson.depth.title" : "lesson.depth.title.sure", { label: A }),
    text: [t("lesson.depth.text")],
    question: changes ? askEarly(facts, first, winners) : askSure(facts, first),
    reveal: lens
      .map((one, i) => depthWords(facts, one, i))
      .filter((_, i) => isTold(i, lens.length))
      .join(" "),
    takeaway: t(`lesson.depth.takeaway.${kind}`),
    stages: ["attention"],
    place: "attention",
  });
}

/** Of many depths the first, the middle and the last two are told. */
const isTold = (depth: number, count: number): boolean =>
  count <= 4 || depth === 0 || depth === count >> 1 || depth >= count - 2;

function depthWords({ trace }: Facts, { probabilities }: Depth, depth: number): string {
  const best = argmax(probabilities),
    values = { label: labelName(trace.labels[best]), share: percent(probabilities[best], 0), count: depth };
  return depth === 0 ? t("lesson.depth.first", values) : t("lesson.depth.after", values);
}

function askEarly({ trace, a }: Facts, { probabilities }: Depth, winners: readonly number[]): Question | null {
  const early = winners[0],
    likely = [early, a, ...winners, ...descending(probabilities)];
  const offered = [...new Set(likely)].slice(0, 3).sort((one, other) => one - other);
  const words = (c: number) =>
    t("lesson.depth.gets", { label: labelName(trace.labels[c]), share: percent(probabilities[c]) });
  return askOption(
    t("lesson.depth.question"),
    offered.map((id) => ({ id, text: labelName(trace.labels[id]) })),
    early,
    words(early),
    words,
  );
}

function askSure({ trace, a, A, k }: Facts, { probabilities }: Depth): Question | null {
  const shares = apart([probabilities[a], trace.probabilities[a], 1 / k, 0.5]),
    right = shares.indexOf(probabilities[a]);
  return askOption(
    t("lesson.depth.question.sure", { label: A }),
    shares.map((share, id) => ({ id, text: percent(share, 0) })),
    right,
    t("lesson.itIs", { answer: percent(probabilities[a], 0) }),
    (id) =>
      id === right
        ? t("lesson.depth.gets", { label: A, share: percent(probabilities[a]) })
        : t(shares[id] < probabilities[a] ? "lesson.depth.moreSure" : "lesson.depth.lessSure"),
  );
}

/** At most three shares, the first one among them, no two nearer than 5 points; in rising order. */
export function apart(shares: readonly number[]): number[] {
  const chosen: number[] = [];
  for (const share of shares) if (chosen.every((one) => Math.abs(one - share) >= 0.05)) chosen.push(share);
  return chosen.slice(0, 3).sort((one, other) => one - other);
}

function partName({ kind, ...rest }: Part): string {
  const layer = "layer" in rest ? rest.layer + 1 : 0;
  return t(`lesson.part.${kind === "head" ? "attention" : kind}`, { layer });
}

/** Which part wrote most of the score into the residual stream. Null where the stream is not known. */
export function parts(facts: Facts): Step | null {
  const { trace, a, A } = facts,
    attributed = attributeLogits(trace);
  if (!attributed) return null;
  const written = attributed.map(({ part, logits }) => ({ part, value: contrastOf(logits, a, usual(trace)) })),
    named = written.map((one, id) => ({ ...one, id })).filter(({ part }) => part.kind !== "constants");
  const order = [...named].sort((one, other) => other.value - one.value),
    [most] = order,
    offered = order.slice(0, 4).sort((one, other) => one.id - other.id);
  const words = (id: number) =>
    t("lesson.parts.wrote", { part: partName(written[id].part), value: signed(written[id].value) });
  const replaced = findBlock(trace.config.block).overwritesStream;
  const total = sum(written.map(({ value }) => value));
  return makeStep({
    name: "parts",
    title: t("lesson.parts.title"),
    text: [
      t(replaced ? "lesson.parts.text.replaced" : "lesson.parts.text"),
      t("lesson.parts.score", { label: A, score: signed(total) }),
    ],
    question: askOption(
      t("lesson.parts.question", { label: A }),
      offered.map(({ id, part }) => ({ id, text: partName(part) })),
      most.id,
      words(most.id),
      words,
    ),
    reveal: t("lesson.parts.reveal", {
      list: order
        .slice(0, 3)
        .map(({ part, value }) => `${partName(part)} ${signed(value)}`)
        .join(", "),
      score: signed(total),
    }),
    takeaway: t("lesson.parts.takeaway"),
    stages: ["attention"],
    place: "attention",
  });
}
