// The lesson's steps from many tokens to one answer. Each kind of pool has those that are true for it.

import { readShare, touchLargest } from "./lesson_facts.js";
import { argmax, descending, effectiveTokens, maximum, minimum } from "./maths.js";
import { findPool } from "./pools.js";
import { percent, plural, signed, times } from "./words.js";

const CHOICES = 6; // classes to choose from where there are too many for all

/** @param {import("./lesson_facts.js").Facts} facts @returns {import("./lesson_facts.js").Step[]} */
export function poolSteps(facts) {
  const { lesson } = findPool(facts.data.pool);
  return [...(lesson ? [{ weighed, alike, byChannel, collected }[lesson.pool](facts)] : []), ...(facts.data.scores ? [seqpool(facts)] : [])];
}

const width = ({ data }) => data.stages.at(-1).channels;
const manyToOne = (facts) => `The classifier reads one list of ${width(facts)} numbers, but there are ${facts.n} tokens.`;

function weighed(facts) {
  const { data, n, a, A, atPool, chance } = facts, { weights, probabilities, labels, k } = data;
  const even = chance(new Float64Array(n).fill(1 / n)), order = descending(even), [wins] = order;
  const likely = [...new Set([...order.slice(0, CHOICES - 2), ...descending(probabilities)])].slice(0, CHOICES);
  const offered = k <= 10 ? labels.map((_, c) => c) : likely.sort((x, y) => x - y);
  return {
    name: "pool", title: "Why pool at all", place: { ...atPool("weight"), station: "laboratory" },
    sentences: [
      manyToOne(facts),
      `Mean pooling would count each token alike: ${percent(1 / n)}.`,
      `SeqPool learned to weigh them, here from ${percent(minimum(weights))} to ${percent(maximum(weights))}.`,
      `So weighed, the answer is ${A} with ${percent(probabilities[a])}.`,
    ],
    question: {
      kind: "choice", text: "Which class would win with mean pooling? Guess, or press Mean in the laboratory.",
      options: offered.map((c) => [c, labels[c]]), answer: `It is ${labels[wins]} with ${percent(even[wins])}.`,
      check(c) {
        const gets = `With mean pooling ${labels[c]} gets ${percent(even[c])}`;
        if (even[c] < even[wins] - 0.005) return { right: false, words: `${gets}, and another class more. Press Mean and read the bars.` };
        return { right: true, words: `${gets} and ${c === a ? "still wins" : "wins"}. With SeqPool it has ${percent(probabilities[c])}.` };
      },
    },
  };
}

function alike(facts) {
  const { data, n, a, A, B, atPool, contribution } = facts;
  return {
    name: "pool", title: "Why pool at all", place: atPool("contribution"),
    sentences: [
      `${manyToOne(facts)} This model takes their mean, so each counts ${percent(1 / n)}.`,
      `The answer is ${A} with ${percent(data.probabilities[a])}. What tells it from ${B} is the sum of what the tokens add.`,
    ],
    question: touchLargest(facts, contribution, {
      text: `Touch one of the three tokens that add most to ${A} over ${B}.`,
      read: (t) => `it adds ${signed(contribution[t], 3)} logits`, look: "Look for the deepest orange of the contribution map.",
    }),
  };
}

function byChannel(facts) {
  const { data, n, at, a, A } = facts, won = Array.from(data.readout, (v) => Math.round(v * width(facts)));
  const top = argmax(won), idle = won.filter((count) => !count).length;
  return {
    name: "pool", title: "Why pool at all", place: readShare({ alpha: 0.5, step: 0 }),
    sentences: [
      `${manyToOne(facts)} Max pooling takes each number from the token that has most of it.`,
      `Token ${at(top)} wins ${won[top]} of ${width(facts)} channels; ${plural(idle, "token")} of ${n} win${idle === 1 ? "s" : ""} none.`,
      `The answer is ${A} with ${percent(data.probabilities[a])}. Over the photo lies each token's share of the channels.`,
    ],
    question: touchLargest(facts, won, {
      text: "Touch one of the three tokens that win most channels.",
      read: (t) => `it wins ${plural(won[t], "channel")}`, look: "Look for the brightest places of the map.",
    }),
  };
}

function collected(facts) {
  const { data, n, a, A } = facts, taken = data.fused(data.layers - 1, "mean").slice(0, data.m), image = taken.slice(1);
  return {
    name: "pool", title: "Why a class token", place: readShare({ alpha: 1, step: 1 }),
    sentences: [
      `${manyToOne(facts)} This model pools none of them: one token more, the class token, collects from all.`,
      `Over the photo lies what it takes in the last layer. From itself it takes ${percent(taken[0])}; alike would be ${percent(1 / (n + 1))} each.`,
      `From the class token alone the classifier reads ${A}, ${percent(data.probabilities[a])}.`,
    ],
    question: touchLargest(facts, image, {
      text: "Touch one of the three tokens from which the class token takes most in the last layer.",
      read: (t) => `the class token takes ${percent(image[t])} from it`, look: "Look for the brightest places of the map.",
    }),
  };
}

function seqpool(facts) {
  const { data, n, atPool } = facts, { weights } = data, most = maximum(weights);
  return {
    name: "seqpool", title: "SeqPool with the numbers of this picture", place: atPool("weight"),
    sentences: [
      "Weight: how much each token counts, the same for every class. Together they are 100 %.",
      `Alike, each would have ${percent(1 / n)}. The largest here is ${percent(most)}, which is ${times(most, n)}.`,
      `All in all they are spread like ${effectiveTokens(weights).toFixed(1)} equal tokens of ${n}.`,
    ],
    question: touchLargest(facts, weights, {
      text: "Touch one of the three tokens with the largest weight.",
      read: (t) => `weight ${times(weights[t], n)}`, look: "Look for the brightest squares of the weight map.",
    }),
  };
}
