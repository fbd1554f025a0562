// The paths picture: a rollout taken apart by the layers in which it went through attention instead of past it.

import { valueInWords } from "./attention_rollout.js";
import { PHOTO } from "./colour.js";
import { h, say } from "./dom.js";
import { createLarge } from "./large.js";
import { maximum, sum } from "./maths.js";
import { alphaInWords, createAlpha, createFusion } from "./mixing.js";
import { createMultiples, createScale } from "./multiples.js";
import { percent, plural } from "./words.js";

const LIMITS = "A path's mass is attention, not effect: it cannot tell which path decided.";

/** @param {import("./main.js").Explorer} explorer */
export function createPaths(explorer) {
  const { data, store, derived } = explorer, { layers } = data;
  const { names } = derived.paths(store.state), whole = names.length === 2 ** layers;
  const fusion = createFusion(explorer), alpha = createAlpha(explorer), scale = createScale(explorer), badge = explorer.badge();
  const meaning = h("p", { class: "note" }), reading = h("p", { class: "line" }), sentence = h("p", { class: "sentence" });
  const large = createLarge(explorer, "Path"), pick = (path) => store.set({ path });
  const sheet = createMultiples({
    label: "The paths of the rollout", columns: data.columns, rows: data.rows, names, captions: names.map((name) => name.replace(" attentions", "")),
    choose: pick, act: pick,
  });
  let shown = null, common = null;

  function showPaths(paths, state) {
    if (paths === shown && state.commonScale === common) return;
    [shown, common] = [paths, state.commonScale];
    const largest = maximum(paths.maps.map(maximum));
    paths.maps.forEach((values, i) => {
      sheet.show(i, values, common ? largest : maximum(values), PHOTO);
      sheet.describe(i, percent(paths.masses[i]), paths.masses[i]);
    });
    scale.show(state, PHOTO, percent(largest));
    badge.show("masses sum to 1", Math.abs(sum(paths.masses) - 1));
    say(meaning, alphaInWords(data, state.alpha));
  }

  return {
    title: "Paths: the rollout taken apart",
    element: h("div", {},
      h("p", {}, whole
        ? `At each layer a token's content goes through attention or past it: ${plural(layers, "layer")}, ${plural(names.length, "path")}.`
        : `${layers} layers make ${(2 ** layers).toLocaleString("en")} paths, here grouped by how often they go through attention.`,
        " Together they are the rollout."),
      h("div", { class: "row" }, fusion.element, badge.element), alpha.element, meaning, sentence,
      h("div", { class: "pair wide" }, h("div", {}, large.element, reading),
        h("div", { class: "steps" }, h("h3", {}, whole ? "Every path" : "Paths by their number of attentions"), sheet.element, scale.element,
          h("p", { class: "note" }, "Each map shows where its path comes from; the bar is its mass, its part of the rollout."))),
      h("p", { class: "note" }, LIMITS)),
    draw(state) {
      fusion.set(state.fusion);
      alpha.set(state.alpha);
      const paths = derived.paths(state), at = Math.min(state.path, names.length - 1), values = paths.maps[at], limit = maximum(values);
      showPaths(paths, state);
      sheet.mark(at);
      large.show(values, limit, PHOTO, ["0", percent(limit)]);
      large.mark(state);
      large.say(`Path: ${names[at]}`, "shares of this path alone");
      say(sentence, inWords(data, paths, at, names[at]));
      say(reading, valueInWords(data, values, state.token));
    },
  };
}

function inWords(data, { masses, rows }, at, name) {
  if (!(masses[at] > 0)) return `Under this alpha nothing goes this way: ${name}.`;
  const kept = data.first ? ` Of that, ${percent(rows[at][0] / masses[at])} stays with the class token.` : "";
  return `${percent(masses[at])} of the rollout goes this way: ${name}.${kept}`;
}
