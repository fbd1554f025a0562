// What other weights make of every class: the probability beside the model's, and the score within all that can be reached.

import { h, say } from "./dom.js";
import { descending, maximum, minimum } from "./maths.js";
import { reach } from "./pooling.js";
import { MINUS, percent, signed } from "./words.js";

const ALL = 12, BEST = 10, LEADERS = 3; // so many classes are shown whole; of more, the model's best and the present ones

/** @param {import("./main.js").Explorer} explorer */
export function createTables(explorer) {
  const { data } = explorer, ranking = descending(data.logits), { low, high } = reach(data);
  const probabilities = table("lab-probabilities", "Answer now, beside the model's", ["Class", "Probability", "Now", "Model", "Change, points"]);
  const scores = table("lab-reach", "Score within what any weights could reach", ["Class", "Reachable", "Now, logits"]);
  const from = h("span"), to = h("span");
  let classes = [], rows = [], shown = null;

  /** The classes that are listed, in the model's order, so that rows keep their places while weights change. */
  function listed(state, now) {
    if (data.k <= ALL) return ranking;
    const wanted = new Set([...ranking.slice(0, BEST), ...descending(now).slice(0, LEADERS), state.a, ...(state.b === null ? [] : [state.b])]);
    return ranking.filter((c) => wanted.has(c));
  }

  function layOut() {
    const start = minimum(classes.map((c) => low[c])), end = maximum(classes.map((c) => high[c]));
    const at = (score) => `${(100 * (score - start)) / (end - start || 1)}%`;
    say(from, signed(start));
    say(to, `${signed(end)} logits`);
    rows = classes.map((c) => {
      const made = { c, at, bar: h("i", { class: "bar" }), now: value(), change: value(), dot: h("i", { class: "dot" }), score: value() };
      const own = value("own"), tick = (left) => h("i", { class: "tick", style: `left: ${left}` });
      tell(own, data.probabilities[c], percent(data.probabilities[c]));
      made.range = h("span", { class: "range", role: "img", "data-low": low[c], "data-high": high[c], "data-model": data.logits[c] },
        h("i", { class: "within", style: `left: ${at(low[c])}; right: calc(100% - ${at(high[c])})` }), tick(at(data.logits[c])), made.dot);
      const chance = h("span", { class: "chance", "aria-hidden": "true" }, made.bar, tick(`${100 * data.probabilities[c]}%`));
      made.rows = [row(c, chance, made.now, own, made.change), row(c, made.range, made.score)];
      return made;
    });
    probabilities.body.replaceChildren(...rows.map((made) => made.rows[0]));
    scores.body.replaceChildren(...rows.map((made) => made.rows[1]));
  }

  function row(c, drawing, ...values) {
    return h("tr", {}, h("th", { scope: "row", title: data.labels[c] }, data.labels[c]), h("td", { class: "drawing" }, drawing), values);
  }

  const element = h("div", { class: "lab-tables" },
    h("div", {}, probabilities.element, h("p", { class: "key" }, h("i", { class: "bar" }), "now", h("i", { class: "tick" }), "the model")),
    h("div", {}, scores.element, h("div", { class: "ends" }, from, to),
      h("p", { class: "key" }, h("i", { class: "within" }), "reachable", h("i", { class: "tick" }), "the model", h("i", { class: "dot" }), "now")),
    data.k > ALL ? h("p", { class: "note" }, `The model's ${BEST} best of ${data.k} classes, and those that lead now or are compared.`) : null);
  return {
    element,
    draw(state) {
      const now = explorer.derived.probabilities(state), logits = explorer.derived.logits(state);
      const wanted = listed(state, now);
      if (wanted.length !== classes.length || wanted.some((c, i) => c !== classes[i])) {
        classes = wanted;
        layOut();
        shown = null;
      }
      if (now !== shown) for (const made of rows) fill(made, data, now, logits, low, high);
      shown = now;
      for (const made of rows) for (const r of made.rows) r.className = made.c === state.a ? "explained" : "";
    },
  };
}

function table(name, caption, heads) {
  const body = h("tbody");
  const classes = ["", "", "value", "value own", "value"];
  const head = h("thead", {}, h("tr", {}, heads.map((text, i) => h("th", { scope: "col", class: i === heads.length - 1 ? "value" : classes[i] }, text))));
  return { body, element: h("table", { class: `lab-table ${name}` }, h("caption", {}, caption), head, body) };
}

const value = (name = "") => h("td", { class: `value ${name}` });

/** A number as people read it, whole for those who ask: on hover and in the page's data. */
export function tell(cell, number, text) {
  say(cell, text);
  cell.dataset.value = number;
  cell.title = String(number);
}

function fill({ c, at, bar, now, change, dot, score, range }, data, probabilities, logits, low, high) {
  const gained = probabilities[c] - data.probabilities[c], points = (100 * Math.abs(gained)).toFixed(1);
  bar.style.width = `${100 * probabilities[c]}%`;
  tell(now, probabilities[c], percent(probabilities[c]));
  tell(change, gained, points === "0.0" ? points : (gained > 0 ? "+" : MINUS) + points);
  change.classList.toggle("up", gained > 0 && points !== "0.0");
  change.classList.toggle("down", gained < 0 && points !== "0.0");
  dot.style.left = at(logits[c]);
  tell(score, logits[c], signed(logits[c]));
  const reaches = `${data.labels[c]} can reach ${signed(low[c])} to ${signed(high[c])}`;
  range.setAttribute("aria-label", `${reaches}; the model ${signed(data.logits[c])}, now ${signed(logits[c])} logits`);
}
