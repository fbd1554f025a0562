// Steps from many tokens to one score. Each kind of pool has those that are true for it.

import { argmax, descending, effectiveTokens, maximum, minimum } from "../core/maths.ts";
import { attentionMatrix } from "../derive/attention.ts";
import { poolWith, type Pooling } from "../derive/laboratory.ts";
import { t } from "../i18n/index.ts";
import { labelName } from "../i18n/names.ts";
import { fixed, percent, signed } from "../i18n/numbers.ts";
import { askOption, askPatch, askToken, isAlike, tokensWhere, type Facts } from "./facts.ts";
import { makeStep, type Slider, type Step, type StepMap } from "./step.ts";

const logits = (value: number): string => t("lesson.logits", { value: signed(value, 3) });

/** What the pool does with the tokens, by the pool's name. A pool without an entry has no step of its own. */
const POOL: Readonly<Record<string, (facts: Facts) => Step>> = {
  seqpool: weighed,
  mean: alike,
  max: byChannel,
  class_token: collected,
};

export const pool = (facts: Facts): Step | null => POOL[facts.trace.config.pool]?.(facts) ?? null;

/** SeqPool, taught before it is asked about: which patch has the largest weight. */
function weighed(facts: Facts): Step {
  const { trace, n, A, At, evidence, contribution } = facts,
    weights = trace.poolingWeights ?? new Float32Array(n),
    heavy = argmax(weights);
  const read = (token: number) => t("lesson.pool.weight.read", { weight: percent(weights[token], 2) });
  return makeStep({
    name: "pool",
    title: t("lesson.pool.weight.title"),
    text: [t("lesson.pool.weight.text"), t("lesson.pool.weight.evidence", { label: A })],
    question: askPatch(facts, weights, { text: t("lesson.pool.weight.question"), read }),
    reveal: t("lesson.pool.weight.reveal", {
      place: At(heavy),
      weight: percent(weights[heavy], 2),
      evidence: signed(evidence[heavy]),
      contribution: signed(contribution?.[heavy] ?? 0, 3),
      even: percent(1 / n, 2),
    }),
    takeaway: t("lesson.pool.weight.takeaway"),
    stages: ["pool", "evidence"],
    place: "pool",
    light: heavy,
    map: { values: weights, ramp: "share" },
  });
}

/** Mean: all tokens count the same, so what differs is the evidence. */
function alike(facts: Facts): Step {
  const { n, A, At, contribution, evidence } = facts,
    adds = contribution ?? evidence,
    top = argmax(adds);
  const read = (token: number) => t("lesson.pool.adds", { contribution: logits(adds[token]) });
  return makeStep({
    name: "pool",
    title: t("lesson.pool.mean.title"),
    text: [t("lesson.pool.mean.text", { count: n, even: percent(1 / n, 2) })],
    question: askPatch(facts, adds, { text: t("lesson.pool.adds.question", { label: A }), read }),
    reveal: t("lesson.pool.mean.reveal", {
      place: At(top),
      evidence: signed(evidence[top]),
      contribution: signed(adds[top], 3),
      even: percent(1 / n, 2),
    }),
    takeaway: t("lesson.pool.alike.takeaway"),
    stages: ["pool", "evidence"],
    place: "pool",
    light: top,
    map: { values: adds, ramp: "signed" },
  });
}

/** Max: each channel from the token that has most of it. */
function byChannel(facts: Facts): Step {
  const { trace, n, At } = facts,
    width = trace.featureMaps[trace.featureMaps.length - 1].channels;
  const won = Array.from(trace.readout, (share) => Math.round(share * width)),
    top = argmax(won),
    idle = won.filter((count) => !count).length;
  return makeStep({
    name: "pool",
    title: t("lesson.pool.channels.title"),
    text: [t("lesson.pool.channels.text", { channels: width })],
    question: askPatch(facts, won, {
      text: t("lesson.pool.channels.question"),
      read: (token) => t("lesson.pool.channels.read", { count: won[token] }),
    }),
    reveal: t("lesson.pool.channels.reveal", { place: At(top), won: won[top], channels: width, idle, count: n }),
    takeaway: t("lesson.pool.channels.takeaway"),
    stages: ["pool", "evidence"],
    place: "pool",
    light: top,
    map: { values: trace.readout, ramp: "share" },
  });
}

/** Class token: one token collects from all others. */
function collected(facts: Facts): Step {
  const { trace, n, At, A, a } = facts,
    row = attentionMatrix(trace, trace.config.numLayers - 1, null).subarray(0, n + 1),
    image = row.subarray(1),
    top = argmax(image);
  return makeStep({
    name: "pool",
    title: t("lesson.pool.token.title"),
    text: [t("lesson.pool.token.text")],
    question: askPatch(facts, image, {
      text: t("lesson.pool.token.question"),
      read: (token) => t("lesson.pool.token.read", { share: percent(image[token]) }),
    }),
    reveal: t("lesson.pool.token.reveal", {
      place: At(top),
      share: percent(image[top]),
      own: percent(row[0]),
      even: percent(1 / (n + 1)),
      label: A,
      probability: percent(trace.probabilities[a]),
    }),
    takeaway: t("lesson.pool.token.takeaway"),
    stages: ["attention", "pool"],
    place: "pool",
    light: top,
    layer: trace.config.numLayers - 1,
    map: { values: image, ramp: "share" },
  });
}

const OFFERED = 4;

/** What mean pooling would answer with SeqPool's tokens. Null for a pool without scores. */
export function whyPool(facts: Facts): Step | null {
  const { trace, n, a, A } = facts,
    even = poolWith(trace, { kind: "mean" })?.probabilities;
  if (!even || !trace.poolScores || !trace.poolingWeights) return null;
  const order = descending(even),
    [wins] = order,
    likely = [...new Set([wins, a, order[1], ...descending(trace.probabilities)])].slice(0, OFFERED);
  const gets = (c: number) => t("lesson.why.gets", { label: labelName(trace.labels[c]), share: percent(even[c]) });
  return makeStep({
    name: "why_pool",
    title: t("lesson.why.title"),
    text: [
      t("lesson.why.text", {
        count: n,
        even: percent(1 / n, 2),
        least: percent(minimum(trace.poolingWeights), 2),
        most: percent(maximum(trace.poolingWeights), 2),
      }),
    ],
    question: askOption(
      t("lesson.why.question"),
      likely.sort((one, other) => one - other).map((id) => ({ id, text: labelName(trace.labels[id]) })),
      wins,
      gets(wins),
      (c) => (c === wins ? gets(c) : t("lesson.why.notMost", { words: gets(c) })),
    ),
    reveal: t(wins === a ? "lesson.why.same" : "lesson.why.other", {
      label: A,
      other: labelName(trace.labels[wins]),
      share: percent(trace.probabilities[a]),
      even: percent(even[a]),
      spread: fixed(effectiveTokens(trace.poolingWeights), 1),
      count: n,
    }),
    takeaway: t("lesson.why.takeaway"),
    stages: ["pool", "evidence"],
    place: "pool",
  });
}

const CONTRIBUTION: Readonly<Record<string, (facts: Facts) => Step>> = {
  seqpool: weightAlone,
  mean: adders,
  max: evidenceAlone,
  class_token: contentAlone,
};

/** Why one factor of a contribution does not tell what a token adds. */
export const contribution = (facts: Facts): Step | null => CONTRIBUTION[facts.trace.config.pool]?.(facts) ?? null;

const adds = ({ contribution: values }: Facts, token: number): string =>
  t("lesson.pool.adds", { contribution: logits(values?.[token] ?? 0) });

function contributionStep(
  facts: Facts,
  kind: string,
  parts: Pick<Step, "title" | "text" | "question" | "reveal" | "takeaway">,
): Step {
  const values = facts.contribution ?? facts.evidence;
  return makeStep({
    name: "contribution",
    ...parts,
    stages: ["pool", "evidence"],
    place: "pool",
    hides: kind !== "class_token",
    map: { values, ramp: "signed" },
  });
}

/** A heavy token that argues against the answer, or else a light one that adds to it. */
function weightAlone(facts: Facts): Step {
  const { trace, n, A, at, At } = facts,
    weights = trace.poolingWeights ?? new Float32Array(n),
    values = facts.contribution ?? facts.evidence;
  const order = descending(weights),
    large = weights[order[Math.ceil(n / 4) - 1]],
    [heavy] = order,
    loud = argmax(values);
  const read = (token: number) =>
    t("lesson.contribution.weight.read", { weight: percent(weights[token], 2), adds: adds(facts, token) });
  const against = order.filter((token) => weights[token] >= large && values[token] < 0),
    light = descending(values).filter((token) => weights[token] * n < 1 && values[token] > 0);
  return contributionStep(facts, "seqpool", {
    title: t("lesson.contribution.weight.title"),
    text: [
      t("lesson.contribution.weight.text"),
      t("lesson.contribution.weight.heavy", { place: at(heavy), read: read(heavy) }),
    ],
    question:
      askToken(facts, against, {
        text: t("lesson.contribution.against.question", { label: A, weight: percent(large, 2) }),
        read,
        why: (token) =>
          t(weights[token] >= large ? "lesson.contribution.against.for" : "lesson.contribution.against.light", {
            label: A,
          }),
      }) ??
      askToken(facts, light, {
        text: t("lesson.contribution.light.question", { label: A, even: percent(1 / n, 2) }),
        read,
        why: (token) =>
          t(values[token] > 0 ? "lesson.contribution.light.heavy" : "lesson.contribution.light.against", { label: A }),
      }),
    reveal:
      heavy === loud
        ? t("lesson.contribution.weight.same", { place: At(heavy), label: A })
        : t("lesson.contribution.weight.other", { place: At(loud), read: read(loud) }),
    takeaway: t("lesson.contribution.weight.takeaway"),
  });
}

/** With equal weights: a token that argues against the answer, or one of those that add least. */
function adders(facts: Facts): Step {
  const { n, A } = facts,
    values = facts.contribution ?? facts.evidence,
    against = tokensWhere(n, (token) => values[token] < 0),
    order = descending(values);
  const words = {
    read: (token: number) => adds(facts, token),
    why: () => t("lesson.contribution.adders.why", { label: A }),
  };
  return contributionStep(facts, "mean", {
    title: t("lesson.contribution.adders.title"),
    text: [t("lesson.contribution.adders.text", { label: A, count: n - against.length, against: against.length })],
    question: isAlike(values)
      ? null
      : (askToken(
          facts,
          against.sort((s, u) => values[s] - values[u]),
          {
            text: t("lesson.contribution.adders.against", { label: A }),
            ...words,
          },
        ) ??
        askToken(facts, order.slice(-3).reverse(), {
          text: t("lesson.contribution.adders.least", { label: A }),
          ...words,
        })),
    reveal: t("lesson.contribution.adders.reveal", { least: logits(minimum(values)), most: logits(maximum(values)) }),
    takeaway: t("lesson.contribution.adders.takeaway"),
  });
}

/** Max: evidence that wins no channel adds nothing. */
function evidenceAlone(facts: Facts): Step {
  const { trace, n, A, evidence } = facts,
    values = facts.contribution ?? evidence,
    idle = tokensWhere(n, (token) => !(trace.readout[token] > 0)).length;
  const read = (token: number) =>
    t("lesson.contribution.max.read", { evidence: signed(evidence[token]), adds: adds(facts, token) });
  const split = descending(evidence).filter((token) => evidence[token] > 0 && values[token] <= 0);
  return contributionStep(facts, "max", {
    title: t("lesson.contribution.max.title"),
    text: [t("lesson.contribution.max.text", { idle, count: n })],
    question:
      askToken(facts, split, {
        text: t("lesson.contribution.max.question", { label: A }),
        read,
        why: (token) => t(evidence[token] > 0 ? "lesson.contribution.max.both" : "lesson.contribution.max.neither"),
      }) ??
      askToken(facts, isAlike(values) ? [] : descending(values).slice(0, 3), {
        text: t("lesson.contribution.most.question", { label: A }),
        read,
        why: () => t("lesson.contribution.most.why"),
      }),
    reveal: t("lesson.contribution.max.reveal", { idle, count: n }),
    takeaway: t("lesson.contribution.max.takeaway"),
  });
}

/** Class token: what a token contains is not its part of the answer. */
function contentAlone(facts: Facts): Step {
  const { n, A, evidence } = facts,
    near = tokensWhere(n, (token) => evidence[token] > 0).length,
    order = descending(evidence);
  return contributionStep(facts, "class_token", {
    title: t("lesson.contribution.token.title"),
    text: [t("lesson.contribution.token.text"), t("lesson.contribution.token.near", { count: near, all: n, label: A })],
    question: askToken(facts, isAlike(evidence) ? [] : order.slice(-3).reverse(), {
      text: t("lesson.contribution.token.question", { label: A }),
      read: (token) => t("lesson.contribution.token.read", { evidence: signed(evidence[token]) }),
      why: () => t("lesson.contribution.token.why"),
    }),
    reveal: t("lesson.contribution.token.reveal", { label: A }),
    takeaway: t("lesson.contribution.token.takeaway"),
  });
}

const HOTTEST = 8; // where the slider of beta ends
const FINE = 0.05;

/** Weigh the tokens yourself. Null for a pool without weights. */
export function bench(facts: Facts): Step | null {
  const { trace, n, a, A } = facts;
  if (!trace.poolingWeights) return null;
  const kind = trace.poolScores ? "beta" : "drop",
    slider = kind === "beta" ? betaSlider(facts) : dropSlider(facts),
    goal = goalOf(facts, slider.answers);
  return makeStep({
    name: "bench",
    title: t("lesson.bench.title"),
    text: [
      t(`lesson.bench.${kind}.text`),
      t("lesson.bench.model", {
        label: A,
        share: percent(trace.probabilities[a]),
        spread: fixed(effectiveTokens(trace.poolingWeights), 1),
        count: n,
      }),
    ],
    question: goal && {
      text: t(`lesson.bench.${kind}.question`, { goal: goal.text }),
      right: null,
      control: slider.control,
      answer: t("lesson.bench.answer", { value: slider.control.words(goal.example) }),
      check: (value) => ({ right: goal.reached(value), words: slider.control.live(value) }),
    },
    reveal: t(`lesson.bench.${kind}.reveal`),
    takeaway: t("lesson.bench.takeaway"),
    stages: ["pool", "evidence", "classes"],
    place: "pool",
    hides: false,
  });
}

interface Bench {
  readonly control: Slider;
  /** (K,) probabilities and the weights at every value of the slider. */
  readonly answers: readonly {
    readonly value: number;
    readonly probabilities: ArrayLike<number>;
    readonly spread: number;
  }[];
}

function benchOf(
  facts: Facts,
  control: Omit<Slider, "kind" | "live" | "map">,
  poolingAt: (value: number) => [Pooling, Set<number>],
): Bench {
  const { trace, A, a, n } = facts;
  const at = (value: number) => {
    const [pooling, dropped] = poolingAt(value),
      pooled = poolWith(trace, pooling, dropped);
    return {
      weights: pooled?.weights ?? new Float64Array(n),
      probabilities: pooled?.probabilities ?? trace.probabilities,
    };
  };
  const count = Math.round((control.max - control.min) / control.step) + 1;
  const answers = Array.from({ length: count }, (_, i) => {
    const value = control.min + i * control.step,
      { weights, probabilities } = at(value);
    return { value, probabilities, spread: effectiveTokens(weights) };
  });
  return {
    answers,
    control: {
      ...control,
      kind: "slider",
      live: (value) => {
        const { weights, probabilities } = at(value),
          best = argmax(probabilities);
        return t(best === a ? "lesson.bench.wins" : "lesson.bench.loses", {
          label: A,
          share: percent(probabilities[a]),
          other: labelName(trace.labels[best]),
          spread: fixed(effectiveTokens(weights), 1),
        });
      },
      map: (value): StepMap => ({ values: at(value).weights, ramp: "share" }),
    },
  };
}

const betaSlider = (facts: Facts): Bench =>
  benchOf(
    facts,
    {
      label: t("lesson.bench.beta"),
      min: 0,
      max: HOTTEST,
      step: FINE,
      start: 1,
      words: (value) => fixed(value, 2),
    },
    (beta) => [{ kind: "beta", beta }, new Set()],
  );

function dropSlider(facts: Facts): Bench {
  const order = descending(facts.contribution ?? facts.evidence);
  return benchOf(
    facts,
    {
      label: t("lesson.bench.dropped"),
      min: 0,
      max: facts.n - 1,
      step: 1,
      start: 0,
      words: (value) => `${value}`,
    },
    (count) => [{ kind: "model" }, new Set(order.slice(0, count))],
  );
}

interface Goal {
  readonly text: string;
  /** A value of the slider that reaches it. */
  readonly example: number;
  readonly reached: (value: number) => boolean;
}

/** What the slider can do on this picture: another answer, or else a probability halfway, or else fewer tokens. */
function goalOf({ trace, a, A }: Facts, answers: Bench["answers"]): Goal | null {
  const nearest = (value: number) =>
    answers.reduce((best, one) => (Math.abs(one.value - value) < Math.abs(best.value - value) ? one : best));
  const other = answers.find(({ probabilities }) => argmax(probabilities) !== a);
  if (other) {
    return {
      text: t("lesson.bench.goal.other", { label: A }),
      example: other.value,
      reached: (value) => argmax(nearest(value).probabilities) !== a,
    };
  }
  const now = trace.probabilities[a],
    far = answers[argmax(answers.map(({ probabilities }) => Math.abs(probabilities[a] - now)))],
    goal = Math.round(500 * (now + far.probabilities[a])) / 1000,
    falls = far.probabilities[a] < now;
  if (Math.abs(far.probabilities[a] - now) >= 0.004) {
    return {
      text: t(falls ? "lesson.bench.goal.less" : "lesson.bench.goal.more", { label: A, share: percent(goal) }),
      example: far.value,
      reached: (value) => {
        const share = nearest(value).probabilities[a];
        return falls ? share <= goal : share >= goal;
      },
    };
  }
  return fewerGoal(answers, nearest);
}

function fewerGoal(answers: Bench["answers"], nearest: (value: number) => Bench["answers"][number]): Goal | null {
  const spreads = answers.map(({ spread }) => spread),
    most = maximum(spreads),
    least = minimum(spreads),
    goal = Math.ceil((most + least) / 2);
  if (most - least < 2) return null;
  return {
    text: t("lesson.bench.goal.fewer", { count: goal }),
    example: answers[spreads.indexOf(least)].value,
    reached: (value) => nearest(value).spread <= goal,
  };
}
