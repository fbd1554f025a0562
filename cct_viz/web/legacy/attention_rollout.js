// Rollout by steps: where the answer comes from, walked back from the pool through one layer more at each step.

import { PHOTO } from "./colour.js";
import { h, say, slider } from "./dom.js";
import { createLarge } from "./large.js";
import { effectiveTokens, maximum, sum } from "./maths.js";
import { alphaInWords, createAlpha, createFusion } from "./mixing.js";
import { createMultiples, createScale } from "./multiples.js";
import { findPool } from "./pools.js";
import { percent, place, times } from "./words.js";

const LIMITS = "Rollout sees neither the classifier nor the sign of anything: it is the same for every class. "
  + "It follows from where attention took, not what values and MLPs made of it.";

/** @param {import("./main.js").Explorer} explorer */
export function createRollout(explorer) {
  const { data, store, derived } = explorer, { layers } = data, pool = findPool(data.pool);
  const names = Array.from({ length: layers + 1 }, (_, step) => (step ? `through layer ${layers - step + 1}` : "readout"));
  const start = pool.classToken ? "the class token" : "the pool";
  const fusion = createFusion(explorer), alpha = createAlpha(explorer), scale = createScale(explorer), badge = explorer.badge();
  const step = slider("Steps back", { min: 0, max: layers, step: 1, value: layers }, (v) => `${v} of ${layers}`, (value) => store.set({ step: value }));
  const meaning = h("p", { class: "note" }), sentence = h("p", { class: "sentence" }), reading = h("p", { class: "line" });
  const large = createLarge(explorer, "Rollout");
  const sheet = createMultiples({
    label: `Rollout step by step, from ${start} back to the input`, columns: data.columns, rows: data.rows, names,
    captions: names.map((name) => name.replace("through ", "")),
    choose: (i) => store.set({ step: i }), act: (i) => store.set({ step: i, overlay: "rollout" }),
  });
  let shown = null, common = null;

  function showSteps(steps, state) {
    if (steps === shown && state.commonScale === common) return;
    [shown, common] = [steps, state.commonScale];
    const images = steps.map((values) => values.subarray(data.first)), largest = maximum(images.map(maximum));
    images.forEach((values, i) => {
      const spread = effectiveTokens(values);
      sheet.show(i, values, common ? largest : maximum(values), PHOTO);
      sheet.describe(i, spread ? `${spread.toFixed(1)} tokens` : "class token only", spread / data.n);
    });
    scale.show(state, PHOTO, percent(largest));
    badge.show("rollout sums to 1", maximum(steps.map((values) => Math.abs(sum(values) - 1))));
    say(meaning, alphaInWords(data, state.alpha));
  }

  return {
    title: `Rollout: attention followed back from ${start}`,
    element: h("div", {},
      h("p", {}, `It starts from how the model reads its tokens out (${pool.reader}) and walks back, one layer a step, the last layer first.`),
      h("div", { class: "row" }, fusion.element, badge.element), alpha.element, meaning, step.element, sentence,
      h("div", { class: "pair wide" }, h("div", {}, large.element, reading),
        h("div", { class: "steps" }, h("h3", {}, `Every step, from ${start} back`), sheet.element, scale.element,
          h("p", { class: "note" }, `The bar is the number of equal tokens of ${data.n}: the further rollout walks, the more it tends to all tokens alike.`))),
      h("p", { class: "note" }, LIMITS)),
    draw(state) {
      fusion.set(state.fusion);
      alpha.set(state.alpha);
      step.set(state.step);
      const steps = derived.rollout(state), at = Math.min(state.step, layers), values = derived.rolled(state), limit = maximum(values);
      showSteps(steps, state);
      sheet.mark(at);
      large.show(values, limit, PHOTO, ["0", percent(limit)]);
      large.mark(state);
      large.say(`Step ${at} of ${layers}`, at ? names[at] : "the readout itself");
      say(sentence, inWords(data, steps[at], at));
      say(reading, valueInWords(data, values, state.token));
    },
  };
}

function inWords(data, row, at) {
  const spread = effectiveTokens(row.subarray(data.first));
  if (!spread) return "At step 0 everything is on the class token, which has no place in the picture. Go a step back.";
  const whence = at ? `Walked back through ${at} of ${data.layers} layers, the answer is` : "Before the walk, the answer is";
  const kept = data.first ? ` The class token itself keeps ${percent(row[0])}.` : "";
  return `${whence} spread like ${spread.toFixed(1)} equal tokens of ${data.n}.${kept}`;
}

/** One map's value at the chosen token. */
export function valueInWords(data, values, token) {
  if (token === null) return "Point at a token to read its share.";
  return `Token ${place(token, data.columns)}: ${percent(values[token])} (${times(values[token], data.n)}).`;
}
