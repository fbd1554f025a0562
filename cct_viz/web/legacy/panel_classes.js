// Classes: scores and probabilities, and which class is explained.

import { h, say } from "./dom.js";
import { descending } from "./maths.js";
import { percent, signed } from "./words.js";

const SHOWN = 20;

/** @param {import("./main.js").Explorer} explorer */
export function createPanel({ data, store, derived }) {
  const order = descending(data.logits).slice(0, SHOWN);
  const rows = order.map((c) => {
    const bar = h("i"), logit = h("td", { class: "value" }), probability = h("td", { class: "value" });
    const button = h("button", { type: "button", title: data.labels[c], onclick: () => store.set({ a: c, b: c === store.state.b ? store.state.a : store.state.b }) }, data.labels[c]);
    const row = h("tr", {}, h("th", { scope: "row" }, button), h("td", { class: "track-cell" }, h("span", { class: "track" }, bar)), probability, logit);
    return { c, row, bar, logit, probability, button };
  });
  const note = h("p", { class: "note" });
  return {
    title: "Classes: the answer",
    element: h("div", {},
      h("p", {}, `${data.outputNote} Choose a class, and every panel explains it.`),
      h("table", { class: "classes" }, h("thead", {}, h("tr", {}, ["Class", "", "Probability", "Score (logits)"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map(({ row }) => row))),
      data.k > SHOWN ? h("p", { class: "note" }, `The ${SHOWN} best of ${data.k} classes.`) : null,
      h("p", { class: "note" }, whatItKnows(data)), note),
    draw(state) {
      const probabilities = derived.probabilities(state), logits = derived.logits(state);
      for (const { c, row, bar, logit, probability, button } of rows) {
        bar.style.width = `${100 * probabilities[c]}%`;
        say(probability, percent(probabilities[c]));
        say(logit, signed(logits[c]));
        row.className = c === state.a ? "explained" : "";
        button.setAttribute("aria-pressed", String(c === state.a));
      }
      say(note, derived.isModel(state) ? "" : "These are the answers of the pooling laboratory, not the model's.");
    },
  };
}

function whatItKnows({ k, labels, exclusive }) {
  if (k === 1) return `The model knows one class, ${labels[0]}, and answers with its probability.`;
  const known = `The model knows only ${k <= 12 ? `these ${k}` : k} classes.`;
  return `${known} ${exclusive ? "Whatever a picture shows, it names the nearest of them." : "It answers for each of them alone, with yes from 50 %."}`;
}
