// The lesson's steps on what a pooled answer is made of, how it moves, and what a map of it is worth.

import { touchLargest, touchOne, tokensWhere } from "./lesson_facts.js";
import { argmax, descending, effectiveTokens, mean, softmax } from "./maths.js";
import { shuffle } from "./pooling.js";
import { findPool } from "./pools.js";
import { TIMES, percent, plural, signed, times } from "./words.js";

const DRAWS = 20; // of random tokens, to hold the loudest against
const HOTTEST = 8; // where the laboratory's temperature ends
/** The maps that know no class, and why. */
const MAPS = {
  weight: "The weights came before", rollout: "Rollout has never seen", attention: "Attention came before", feature: "A feature map comes before",
};

/** @param {import("./lesson_facts.js").Facts} facts @returns {import("./lesson_facts.js").Step[]} */
export function trustSteps(facts) {
  const { lesson } = findPool(facts.data.pool);
  const what = lesson ? [{ weightAlone, weightSaysNothing, evidenceAlone, contentAlone }[lesson.contribution](facts)] : [];
  return facts.data.weights ? [...what, bench(facts), trust(facts)] : [...what, trust(facts)];
}

const adds = ({ contribution }, t) => `adds ${signed(contribution[t], 3)} logits`;

function weightAlone(facts) {
  const { data, n, at, At, A, B, contribution, atPool } = facts, { weights } = data;
  const order = descending(weights), [heavy] = order, loud = argmax(contribution);
  const large = Math.max(1, Math.floor(100 * weights[order[Math.ceil(n / 4) - 1]] * n) / 100), weighs = (t) => weights[t] * n >= large;
  const read = (t) => `weight ${times(weights[t], n)}, ${adds(facts, t)}`;
  const against = order.filter((t) => weighs(t) && contribution[t] < 0);
  const light = descending(contribution).filter((t) => weights[t] * n < 1 && contribution[t] > 0);
  const heaviest = `Token ${at(heavy)} has the largest weight, ${times(weights[heavy], n)}`;
  return {
    name: "contribution", title: "Weight is not contribution", place: atPool("contribution"),
    sentences: [
      "Contribution = weight × evidence. The weight says how much a token counts, its evidence for which class it speaks.",
      heavy === loud ? `${heaviest}, and here it also adds most to ${A} over ${B}: ${signed(contribution[heavy], 3)} logits.`
        : `${heaviest}, and ${adds(facts, heavy)} to ${A} over ${B}. ${At(loud)} adds most: ${signed(contribution[loud], 3)}, with ${times(weights[loud], n)}.`,
    ],
    question: touchOne(facts, against, {
      text: `Touch a token with a large weight (${large.toFixed(2)}${TIMES} uniform or more) that argues against ${A}.`, read,
      why: (t) => (weighs(t) ? `It argues for ${A}. Look for blue on the contribution map.` : "Its weight is smaller than that."),
    }) ?? touchOne(facts, light, {
      text: `Touch a token with less than an even weight that argues for ${A} all the same.`, read,
      why: (t) => (contribution[t] > 0 ? "Its weight is larger than that." : `It argues against ${A}. Look for orange on the contribution map.`),
    }),
  };
}

function weightSaysNothing(facts) {
  const { n, A, B, contribution, atPool } = facts, against = tokensWhere(n, (t) => contribution[t] < 0), pro = n - against.length;
  const words = {
    read: (t) => `it ${adds(facts, t)}`, look: "Look for the palest orange.",
    why: () => `It argues for ${A}. Look for blue on the contribution map.`,
  };
  return {
    name: "contribution", title: "Alike in weight, not in what they add", place: atPool("contribution"),
    sentences: [
      `Every token has the weight ${percent(1 / n)}, whatever it shows. The weights of this model explain nothing.`,
      `What differs is the evidence: ${plural(pro, "token")} ${pro === 1 ? "speaks" : "speak"} for ${A} over ${B}, ${against.length} against it.`,
    ],
    question: touchOne(facts, against, { text: `Touch a token that argues against ${A}.`, ...words })
      ?? touchLargest(facts, contribution.map((v) => -v), { text: `Touch one of the three tokens that argue least for ${A}.`, ...words }),
  };
}

function evidenceAlone(facts) {
  const { data, n, A, B, evidence, contribution, atPool } = facts, idle = tokensWhere(n, (t) => !(data.readout[t] > 0)).length;
  return {
    name: "contribution", title: "Evidence is not contribution", place: atPool("contribution"),
    sentences: [
      "Evidence: what all of a token's content says. It contributes only through the channels that it wins.",
      `${plural(idle, "token")} of ${n} ${idle === 1 ? "wins no channel and adds" : "win no channel and add"} nothing, whatever the evidence.`,
    ],
    question: touchOne(facts, descending(evidence).filter((t) => evidence[t] > 0 && contribution[t] <= 0), {
      text: `Touch a token whose evidence speaks for ${A} over ${B} but whose contribution does not.`,
      read: (t) => `evidence ${signed(evidence[t])}, ${adds(facts, t)}`,
      why: (t) => (evidence[t] > 0 ? "Both speak for it. Look for orange that is white or blue on the other map." : "Its evidence speaks against it already."),
    }) ?? touchLargest(facts, contribution, {
      text: `Touch one of the three tokens that add most to ${A} over ${B}.`, read: (t) => `it ${adds(facts, t)}`, look: "Look for the deepest orange.",
    }),
  };
}

function contentAlone(facts) {
  const { data, n, A, B, a, b, evidence, atPool } = facts, near = tokensWhere(n, (t) => evidence[t] > 0).length;
  const gap = data.logits[a] - data.logits[b];
  return {
    name: "contribution", title: "A token's content is not its share of the answer", place: atPool("evidence"),
    sentences: [
      `The answer, ${A} over ${B} by ${signed(gap)} logits, is read from the class token. It does not split into parts of image tokens.`,
      `The evidence map shows what the classifier would make of each token's own content: ${near} of ${n} are nearer to ${A}.`,
    ],
    question: touchLargest(facts, evidence.map((v) => -v), {
      text: `Touch one of the three tokens whose content speaks ${near < n ? "most against" : "least for"} ${A}.`,
      read: (t) => `evidence ${signed(evidence[t])}`, look: near < n ? "Look for the deepest blue." : "Look for the palest orange.",
    }),
  };
}

function bench(facts) {
  const { data, n, a, A, atPool } = facts, { weights, probabilities } = data, goal = data.scores ? heatGoal(facts) : dropGoal(facts);
  const tool = data.scores ? "Set β" : "Drop tokens, or paint weights,";
  return {
    name: "bench", title: "Be the pool", place: { ...atPool("weight"), station: "laboratory", ...(data.scores ? { pooling: "beta" } : {}) },
    sentences: [
      "In the laboratory you weigh the tokens, and the head answers at once.",
      data.scores ? "The slider β sharpens the weights or flattens them: 1 is the model, 0 is mean pooling."
        : "Each counts alike, until you drop some or paint weights.",
      `The model's own weights give ${A} ${percent(probabilities[a])}. They are spread like ${effectiveTokens(weights).toFixed(1)} equal tokens of ${n}.`,
    ],
    question: goal && {
      kind: "state", text: `${tool} so that ${goal.text}. Then press Check.`, answer: goal.answer,
      check(state) {
        const now = facts.derived.probabilities(state), spread = effectiveTokens(facts.derived.weights(state)), top = argmax(now);
        const chances = `Now ${A} has ${percent(now[a])}, and ${top === a ? "it" : data.labels[top]} wins.`;
        return { right: goal.reached(now, spread), words: goal.spread ? `The weights are now spread like ${spread.toFixed(1)} equal tokens.` : chances };
      },
    },
  };
}

/** What the slider can do on this picture: another winner, or else a probability halfway, or else fewer tokens. */
function heatGoal(facts) {
  const { data, a, A, chance } = facts, heats = Array.from({ length: 20 * HOTTEST + 1 }, (_, i) => i / 20);
  const answers = heats.map((beta) => chance(softmax(data.scores, beta))), other = answers.findLastIndex((now) => argmax(now) !== a);
  if (other >= 0) return { text: `${A} no longer wins`, answer: `At β = ${heats[other]} another class wins.`, reached: (now) => argmax(now) !== a };
  const values = answers.map((now) => now[a]), now = data.probabilities[a], far = descending(values.map((v) => Math.abs(v - now)))[0];
  return halfway(A, a, now, values[far], `It does at β = ${heats[far]}.`) ?? fewer(data);
}

/** The same for a model without scores, whose tokens are dropped or painted: an eighth of them is enough. */
function dropGoal(facts) {
  const { data, n, a, A, contribution, without } = facts, gone = descending(contribution).slice(0, Math.max(1, Math.round(n / 8))), now = without(gone);
  const answer = `It does without the ${gone.length === 1 ? "token that adds" : `${gone.length} tokens that add`} most to ${A}.`;
  if (argmax(now) !== a) return { text: `${A} no longer wins`, answer, reached: (changed) => argmax(changed) !== a };
  return halfway(A, a, data.probabilities[a], now[a], answer);
}

function halfway(A, a, from, to, answer) {
  const goal = Math.round(500 * (from + to)) / 1000, down = to < from;
  if (Math.abs(to - from) < 0.004) return null;
  return { text: `${A} gets ${percent(goal)} or ${down ? "less" : "more"}`, answer, reached: (now) => (down ? now[a] < goal + 5e-4 : now[a] > goal - 5e-4) };
}

function fewer({ scores, weights }) {
  const now = effectiveTokens(weights), least = effectiveTokens(softmax(scores, HOTTEST)), goal = Math.ceil((now + least) / 2);
  if (now - least < 2) return null;
  return {
    text: `the weights are spread like ${goal} equal tokens or fewer`, answer: `They are at β = ${HOTTEST}.`, spread: true,
    reached: (_, spread) => spread <= goal + 0.05,
  };
}

function trust(facts) {
  const { contribution, A, B, atPool } = facts;
  return {
    name: "trust", title: "Can you trust this map?", place: atPool(contribution ? "contribution" : "evidence"), free: ["a", "b"],
    sentences: [...worth(facts), `And a map that is the same for every class cannot say why the answer is ${A} and not ${B}.`],
    question: {
      kind: "state", text: "Lay a map over the photo that is the same for every class. Then press Check.",
      answer: "Rollout is one: choose it under the photo.",
      check({ overlay }) {
        if (overlay === "none") return { right: false, words: "No map lies over the photo now. Choose one under it." };
        if (!MAPS[overlay]) {
          const name = overlay === "evidence" ? "Evidence" : "Contribution";
          return { right: false, words: `${name} changes with the class: choose another under Explain and watch the photo.` };
        }
        return { right: true, words: `${MAPS[overlay]} the classifier, so it gives no reason for ${A} and against ${B}.` };
      },
    },
  };
}

/** How far the model's own map carries, in numbers where there are any. */
function worth({ data, n, A, a, contribution, without }) {
  if (!contribution) {
    return [`Evidence shows what stands in a token now, rollout from where the class token took. Neither is a cause of ${A}.`];
  }
  const sums = "The contributions sum to the score, exactly. Causes they are not: attention has mixed the tokens before.";
  if (!data.weights) return [sums, findPool(data.pool).worth];
  const count = Math.max(1, Math.round(n / 12)), indices = Float64Array.from({ length: n }, (_, t) => t);
  const loud = count === 1 ? "token that adds" : `${count} tokens that add`, from = percent(data.probabilities[a]);
  const random = mean(Array.from({ length: DRAWS }, (_, seed) => without(shuffle(indices, seed).slice(0, count))[a]));
  const loudest = without(descending(contribution).slice(0, count))[a];
  return [
    sums,
    `Without the ${loud} most, ${A} goes from ${from} to ${percent(loudest)}; without as many at random, to ${percent(random)} (mean of ${DRAWS}).`,
  ];
}
