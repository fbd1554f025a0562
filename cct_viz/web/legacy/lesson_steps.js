// The lesson's steps as data: where each one leads, what it says of this very picture, and what it asks.

import { readFacts, tokensWhere, touchLargest } from "./lesson_facts.js";
import { poolSteps } from "./lesson_pool.js";
import { trustSteps } from "./lesson_trust.js";
import { argmax, descending, effectiveTokens, maximum, sum } from "./maths.js";
import { tokensAt } from "./photo.js";
import { findPool } from "./pools.js";
import { TIMES, number, percent, plural } from "./words.js";

/** @param {import("./main.js").Explorer} explorer @returns {import("./lesson_facts.js").Step[]} those that are true for this model */
export function makeSteps(explorer) {
  const facts = readFacts(explorer);
  return [pixels(facts), windows(facts), head(facts), rollout(facts), ...poolSteps(facts), ...trustSteps(facts), trained(facts)];
}

function pixels(facts) {
  const { data, derived, n } = facts, last = data.stages.length - 1, { rows, columns, channels } = data.stages[last];
  const [channel] = descending(derived.strengths(last)), size = rows * columns;
  const values = data.stages[last].maps.slice(channel * size, (channel + 1) * size);
  return {
    name: "pixels", title: "From pixels to tokens",
    place: { station: "tokens", overlay: "feature", feature: { stage: last, channel }, token: null, held: null },
    sentences: [
      `The model was given ${data.width}${TIMES}${data.height} pixels.`,
      `${plural(last + 1, "conv stage")} turn${last ? "" : "s"} them into ${columns}${TIMES}${rows} = ${n} tokens of ${channels} numbers each.`,
      `One number of every token makes a map. Over the photo lies channel ${channel + 1}, the strongest on this picture.`,
    ],
    question: touchLargest(facts, values.map(Math.abs), {
      text: `Touch one of the three tokens where channel ${channel + 1} answers most.`,
      read: (t) => `activation ${number(values[t])}`, look: "Look for the brightest places of the map.",
    }),
  };
}

function windows({ data, n, evidence, contribution, at, At }) {
  const shared = (s, t) => {
    const p = data.window(s), q = data.window(t);
    return [["x0", "x1"], ["y0", "y1"]].map(([from, to]) => Math.max(0, Math.min(p[to], q[to]) - Math.max(p[from], q[from])));
  };
  const apart = (s) => tokensWhere(n, (t) => shared(s, t).includes(0));
  const loudest = argmax(contribution ?? evidence), framed = apart(loudest).length ? loudest : 0, far = apart(framed);
  const { y0, x0, y1, x1, y, x } = data.window(framed), column = framed % data.columns;
  const next = data.columns > 1 ? framed + (column < data.columns - 1 ? 1 : -1) : null;
  const common = next === null ? 0 : shared(framed, next)[0];
  const pixel = (at, end) => Math.min(end - 1, Math.max(0, Math.floor(at)));
  const seers = tokensAt(data, pixel(x, data.width), pixel(y, data.height)).length;
  return {
    name: "window", title: "What a token sees",
    place: { station: "tokens", overlay: "none", token: null, held: null, pinned: [framed] },
    sentences: [
      `The solid frame is what token ${at(framed)} sees: ${x1 - x0}${TIMES}${y1 - y0} of ${data.width}${TIMES}${data.height} pixels.`,
      ...(next === null ? [] : [`It shares ${common ? `${plural(common, "column")} of pixels` : "no pixel"} with the token beside it.`]),
      `The pixel in its middle is seen by ${plural(seers, "token")} of ${n}.`,
    ],
    question: far.length ? {
      kind: "token", text: "Touch a token that shares no pixel with the framed one.", answer: `One right answer is ${at(far.at(-1))}.`,
      check(token) {
        const [wide, high] = shared(framed, token);
        if (token === framed) return { right: false, words: "That is the framed token itself." };
        if (!(wide * high)) return { right: true, words: `The windows of ${at(token)} and ${at(framed)} have no pixel in common.` };
        return { right: false, words: `${At(token)} shares ${wide}${TIMES}${high} pixels with it: its dashed window reaches into the frame. Go further away.` };
      },
    } : null,
  };
}

function head({ data, n, at, At }) {
  const { m, first, layers } = data, layer = layers - 1;
  const rowsOf = (matrix) => Array.from({ length: n }, (_, t) => matrix.subarray((t + first) * m + first, (t + first + 1) * m));
  const choices = data.hasHeads ? Array.from({ length: data.heads }, (_, i) => rowsOf(data.head(layer, i))) : [rowsOf(data.fused(layer, "mean"))];
  const most = choices.map((rows) => rows.map(maximum)), sharpest = argmax(most.map(sum));
  const peaks = most[sharpest], order = descending(peaks), shown = order[n >> 1];
  const target = Math.floor(1000 * peaks[order[Math.max(1, Math.floor(n / 5)) - 1]]) / 1000;
  const from = (t) => argmax(choices[sharpest][t]), reached = (t) => Math.round(1000 * peaks[t]) >= Math.round(1000 * target);
  const name = `layer ${layer + 1}, ${data.hasHeads ? `head ${sharpest + 1}` : "all heads fused"}`;
  return {
    name: "head", title: data.hasHeads ? "One attention head" : "One layer of attention",
    place: {
      station: "attention", attentionView: "raw", direction: "row", overlay: "attention", fusion: "mean",
      layer, head: data.hasHeads ? sharpest : null, token: shown, held: null,
    },
    free: ["direction", "fusion"],
    sentences: [
      `In attention each token takes from all ${m}, in shares that sum to 100 %. If all were alike, each would give ${percent(1 / m)}.`,
      `Here (${name}) token ${at(shown)} takes most from ${data.first ? "image token " : ""}${at(from(shown))}: ${percent(peaks[shown])}.`,
      "Move over the photo, or with the arrow keys over a map, and the maps follow.",
    ],
    question: peaks.every(reached) ? null : {
      kind: "token", text: `Touch a token that takes ${percent(target)} or more from one single ${data.first ? "image token" : "token"}.`, release: true,
      answer: `One right answer is ${at(order[0])}: it takes ${percent(peaks[order[0]])} from ${at(from(order[0]))}.`,
      check: (token) => ({
        right: reached(token),
        words: `${At(token)} takes ${percent(peaks[token])} from ${at(from(token))}`
          + `${reached(token) ? "." : ` and less from every other${data.first ? " image token" : ""}. The panel says in words where a token looks most.`}`,
      }),
    },
  };
}

function rollout({ data, derived, n, A, B }) {
  const { first, layers, readout } = data, start = { fusion: "mean", alpha: 0.5 };
  const whole = derived.rollout(start)[layers], spread = (row) => effectiveTokens(row.slice(first)).toFixed(1);
  const moved = (row) => sum(row.map((v, i) => Math.abs(v - readout[i]))) / 2;
  return {
    name: "rollout", title: "Rollout and its limits",
    place: { station: "attention", attentionView: "rollout", overlay: "rollout", ...start, step: layers, token: null, held: null },
    free: ["fusion", "alpha", "step"],
    sentences: [
      `Rollout follows the answer back through ${plural(layers, "layer")} of attention. It starts at the readout: ${findPool(data.pool).reader}.`,
      first ? `From this one token it ends spread like ${spread(whole)} equal tokens of ${n}.`
        : `There it is spread like ${spread(readout)} equal tokens of ${n}, at the end like ${spread(whole)}.`,
      `Its limit: the map is the same for ${A} and for ${B}. It has never seen the classifier.`,
    ],
    question: moved(whole) < 0.02 ? null : {
      kind: "state", text: "Set Alpha or Steps back so that no attention is followed at all. Then press Check.",
      answer: "Set Alpha to 0.00: then nothing comes through attention.",
      check(state) {
        const share = moved(derived.rollout(state)[Math.min(state.step, layers)]);
        if (share >= 0.02) return { right: false, words: `${percent(share)} of the map has moved. At which alpha does nothing come through attention?` };
        const reason = state.step === 0 ? "At step 0 no layer is walked" : "With so small an alpha each token only hands itself on";
        return { right: true, words: `${reason}, so the map is the readout again: ${findPool(data.pool).reader}.` };
      },
    },
  };
}

/** A story of another network of this kind, told with this one's shape. */
function trained({ data, at }) {
  const width = data.stages.at(-1).channels, middle = (data.rows >> 1) * data.columns + (data.columns >> 1);
  return {
    name: "trained", title: "What the famous example never trained",
    place: { station: "tokens", overlay: "none", token: middle, held: middle },
    sentences: [
      `Here a token is ${width} numbers. A positional embedding, where there is one, adds as many that belong to its place: `
        + `${at(middle)} then gets the same in every picture.`,
      `The well-known example of this network on keras.io makes its 64${TIMES}128 embedding once, before training, and not as a variable.`,
      "Its checkpoint holds the 408,139 weights that training changed; the embedding is only a constant in the graph.",
    ],
    question: {
      kind: "choice", text: "How many numbers did training never touch in that example?",
      options: [[64, "64"], [8192, "8,192"], [408139, "408,139"]], answer: `It is 64 ${TIMES} 128 = 8,192.`,
      check(count) {
        if (count === 64) return { right: false, words: "64 is the number of places. Each has 128 numbers." };
        if (count === 408139) return { right: false, words: "Those are the ones that were trained." };
        return { right: true, words: `64 ${TIMES} 128 = 8,192 numbers stayed as chance drew them. The network learned to live with them.` };
      },
    },
  };
}
