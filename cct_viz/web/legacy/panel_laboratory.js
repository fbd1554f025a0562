// The pooling laboratory: the same tokens, weighed otherwise, and what the head then answers.

import { SIGNED, WEIGHT } from "./colour.js";
import { h, say, segments, slider } from "./dom.js";
import { createBrush, createDroppedList } from "./laboratory_brush.js";
import { createTables } from "./laboratory_tables.js";
import { temperature, whatChanged } from "./laboratory_words.js";
import { effectiveTokens, extent, pool, sum } from "./maths.js";
import { createMap } from "./named_map.js";
import { createPickers } from "./pickers.js";
import { poolingOf, topToken } from "./pooling.js";
import { findPool } from "./pools.js";
import { changed } from "./store.js";
import { comparison, place, signed, times } from "./words.js";

const NOTE = "These are the same tokens under other weights. A model trained with such a pool would have learned other tokens, " +
  "so this is not what it would answer.";
const NO_PRIOR = "There is no position prior here: nobody has measured where this model's weights lie on average.";
const ONLY_MEAN = "This model takes the mean of its tokens, so there is no temperature, no top token, and nothing to shuffle. " +
  "Paint your own weights, or drop tokens.";

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { data } = explorer, title = "Pooling laboratory: the same tokens, other weights";
  if (!data.weights) {
    const words = `${findPool(data.pool).laboratory} A model with SeqPool or with mean pooling has a laboratory.`;
    return { title, element: h("p", { class: "note reason" }, words), draw() {} };
  }
  return { title, ...createBench(explorer) };
}

function createBench(explorer) {
  const { data, derived } = explorer;
  const weight = createMap(explorer, {
    title: "Weight", words: "how much each token counts now, the same for every class", values: (s) => derived.weights(s), colours: WEIGHT,
  });
  const contribution = createMap(explorer, {
    title: "Contribution", words: "what it now adds to the score", values: (s) => derived.contribution(s), colours: SIGNED,
  });
  const brush = createBrush(explorer, weight.grid), dropped = createDroppedList(explorer), choice = createChoice(explorer, brush);
  const facts = createFacts(explorer), tables = createTables(explorer), pickers = createPickers(explorer);
  const sentence = h("p", { class: "sentence" }), spoken = h("p", { class: "unseen", "aria-live": "polite" });
  const badge = explorer.badge();
  const own = pool(data.weights, data.evidence, data.bias);
  badge.show("the model's weights give the model's scores", extent(own.map((v, c) => v - data.logits[c])));

  let speaking = 0;
  return {
    element: h("div", { class: "laboratory" }, pickers.element, choice.element, sentence, brush.element,
      h("div", { class: "lab-maps" }, weight.element, contribution.element, facts.element), dropped.element,
      tables.element, h("div", { class: "row head" }, badge.element), h("p", { class: "note" }, NOTE),
      data.scores && !data.prior ? h("p", { class: "note" }, NO_PRIOR) : null, spoken),
    draw(state, before) {
      weight.draw(state);
      contribution.draw(state);
      brush.draw(state);
      dropped.draw(state);
      pickers.draw(state);
      tables.draw(state);
      if (!changed(state, before, "a", "b", "pooling", "beta", "seed", "painted", "dropped")) return;
      choice.draw(state);
      facts.draw(state);
      say(sentence, whatChanged(explorer, state));
      clearTimeout(speaking);
      if (before) speaking = setTimeout(() => say(spoken, sentence.textContent), 500); // once a slider or a stroke has come to rest
    },
  };
}

/** Which weights, and what belongs to that choice alone: a slider, another order, a fresh sheet. */
function createChoice({ data, store }, brush) {
  const kinds = [["model", data.scores ? "Model" : "Model: the mean"]];
  if (data.scores) kinds.push(["beta", "Temperature"], ["mean", "Mean"], ["top", "Top token"], ["shuffled", "Shuffled"]);
  if (data.prior) kinds.push(["prior", "Position prior"]);
  kinds.push(["painted", "Painted"]);
  const kind = segments("Weights", kinds, (pooling) => {
    store.set({ pooling });
    if (pooling === "painted") brush.hold("paint");
  });
  const beta = createTemperature(store);
  const order = h("span"), words = h("p", { class: "note" });
  const shuffle = h("div", { class: "row" }, h("button", { type: "button", class: "quiet", onclick: () => store.set({ seed: store.state.seed + 1 }) }, "Shuffle again"), order);
  const start = (painted) => () => { store.set({ pooling: "painted", painted }); brush.hold("paint"); };
  const sheet = h("div", { class: "row" },
    h("button", { type: "button", class: "quiet", onclick: start(null) }, "Start from the model"),
    h("button", { type: "button", class: "quiet", onclick: start(new Float64Array(data.n)) }, "Start from empty"));
  return {
    element: h("div", {}, h("div", { class: "scroll" }, kind.element), h("div", { class: "options" }, beta.element, shuffle, sheet, words)),
    draw(state) {
      const { pooling } = state;
      kind.set(kinds.some(([name]) => name === pooling) ? pooling : "model");
      beta.element.hidden = !data.scores || !["model", "beta", "mean"].includes(pooling);
      beta.set(pooling === "beta" ? state.beta : pooling === "mean" ? 0 : 1);
      shuffle.hidden = pooling !== "shuffled" || !data.scores;
      say(order, `order ${state.seed + 1}: the model's own weights, each at another token`);
      sheet.hidden = pooling !== "painted";
      say(words, explain(data, state));
      words.hidden = !words.textContent;
    },
  };
}

function explain(data, state) {
  const pooling = poolingOf(data, state);
  if (!data.scores && state.pooling !== "painted") return ONLY_MEAN;
  if (pooling === "top") {
    return `The token with the largest weight decides alone: ${place(topToken(data, state), data.columns)}. A β without end gives the same.`;
  }
  if (pooling === "prior") return "The mean pooling weights over the validation images: a pool that knows the place of a token, but not the picture.";
  if (state.pooling === "painted") return "Whatever you paint, all weights are scaled to sum to 1.";
  return "";
}

/** A slider even from 0 to 1, from there to 8 by doubling: sharper or flatter than the model, softmax(β × pool score). */
function createTemperature(store) {
  const ONE = 20, END = 60, HIGHEST = 8, octaves = Math.log2(HIGHEST);
  const betaAt = (x) => (x <= ONE ? x / ONE : 2 ** ((octaves * (x - ONE)) / (END - ONE)));
  const placeOf = (beta) => Math.min(END, beta <= 1 ? ONE * beta : ONE + ((END - ONE) * Math.log2(beta)) / octaves);
  const made = slider("Inverse temperature: softmax(β × pool score)", { min: 0, max: END, step: 1, value: ONE }, (x) => temperature(betaAt(x)),
    (x) => store.set({ pooling: "beta", beta: betaAt(x) }));
  const marks = h("div", { class: "marks-below", "aria-hidden": "true" },
    [[0, "0 mean"], [ONE, "1 model"], [placeOf(2), "2"], [placeOf(4), "4"], [END, "8"]].map(([x, text]) => h("span", { style: `left: ${(100 * x) / END}%` }, text)));
  return { element: h("div", { class: "temperature" }, made.element, marks), set: (beta) => made.set(Number(placeOf(beta).toFixed(6))) };
}

/** Two numbers under the weights, each beside the model's. */
function createFacts({ data, derived }) {
  const effective = fact(), margin = fact(), largest = fact(), name = h("dt");
  return {
    element: h("dl", { class: "facts" }, h("div", {}, h("dt", {}, "Effective number of tokens"), effective.element),
      h("div", {}, name, margin.element), h("div", {}, h("dt", {}, "Largest weight"), largest.element)),
    draw(state) {
      const weights = derived.weights(state);
      const count = (values) => `${effectiveTokens(values).toFixed(1)} of ${data.n}`;
      const score = (logits) => `${signed(derived.over(logits, state))} logits`;
      const most = (values) => times(extent(values), data.n);
      say(name, comparison(data, state, 40));
      effective.show(sum(weights) > 0 ? count(weights) : "none", count(data.weights), effectiveTokens(weights));
      margin.show(score(derived.logits(state)), score(data.logits), derived.over(derived.logits(state), state));
      largest.show(most(weights), most(data.weights), extent(weights));
    },
  };
}

function fact() {
  const now = h("b"), model = h("small");
  return {
    element: h("dd", {}, now, " ", model),
    show(text, before, value) {
      say(now, text);
      now.dataset.value = value;
      now.title = String(value);
      say(model, `model ${before}`);
    },
  };
}
