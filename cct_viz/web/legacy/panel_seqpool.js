// SeqPool: weight times evidence is contribution, and the contributions sum to the score.

import { SIGNED, WEIGHT } from "./colour.js";
import { h, say, svg } from "./dom.js";
import { descending, sum } from "./maths.js";
import { createMap } from "./named_map.js";
import { createPickers } from "./pickers.js";
import { findPool } from "./pools.js";
import { TIMES, comparison, plural, signed } from "./words.js";

const HEIGHT = 200, LEFT = 46, RIGHT = 16, TOP = 34, BOTTOM = 30;

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { data, derived } = explorer, pool = findPool(data.pool);
  const splits = Boolean(data.weights || data.maxContributions);
  const pickers = createPickers(explorer);
  const sentence = h("p", { class: "sentence" });
  const badge = explorer.badge(), numbers = h("p", { class: "line below-maps", "aria-hidden": "true" }); // read out beside the photo
  const maps = [], map = (title, words, values, colours) => maps.push(createMap(explorer, { title, words, values, colours }));
  if (data.weights) map("Weight", data.scores ? "how much each token counts, the same for every class" : "every token counts alike", (s) => derived.weights(s), WEIGHT);
  map("Evidence", pool.evidence, (s) => derived.evidence(s), SIGNED);
  if (splits) map("Contribution", "what it adds to the score", (s) => derived.contribution(s), SIGNED);
  const signs = data.weights ? [TIMES, "="] : ["", ""];
  const run = createRunningSum(explorer);

  return {
    title: pool.title,
    element: h("div", {}, pickers.element, pool.note ? h("p", { class: "note" }, pool.note) : null, sentence,
      h("div", { class: `maps maps-${maps.length}` }, maps.flatMap((made, i) => (i ? [h("span", { class: "sign", "aria-hidden": "true" }, signs[i - 1]), made.element] : [made.element]))), numbers,
      splits ? h("div", { class: "row head" }, h("h3", {}, "Running sum, largest first, landing on the score"), badge.element) : null,
      splits ? run.element : null),
    draw(state, before) {
      pickers.draw(state);
      for (const made of maps) made.draw(state);
      say(numbers, explorer.describe(state));
      if (!splits) { say(sentence, without(explorer, state)); return; }
      const parts = derived.contribution(state);
      const scored = derived.over(derived.logits(state), state);
      const error = Math.abs(sum(parts) + derived.over(data.bias, state) - scored);
      badge.show("the parts sum to the score", error);
      say(sentence, inWords(explorer, state, parts));
      run.draw(state, parts, scored);
    },
  };
}

/** "12 tokens speak for cat with +2.10 logits, 52 for deer with −0.30. The five loudest make 48 % of the case." */
function inWords({ data }, state, parts) {
  const speakers = parts.filter((v) => v > 0), opposed = parts.filter((v) => v < 0);
  const other = state.b === null ? "against it" : `for ${data.labels[state.b]}`;
  const forIt = sum(speakers), loudest = sum(descending(parts).slice(0, 5).map((t) => Math.max(0, parts[t])));
  const share = forIt > 0 ? ` The five loudest give ${Math.round((100 * loudest) / forIt)} % of what speaks for ${data.labels[state.a]}.` : "";
  return `${plural(speakers.length, "token")} ${speakers.length === 1 ? "speaks" : "speak"} for ${data.labels[state.a]} (${signed(forIt)} logits), ${opposed.length} ${other} (${signed(sum(opposed))}).${share}`;
}

function without({ data, derived }, state) {
  const evidence = derived.evidence(state), agree = evidence.filter((v) => v > 0).length;
  if (state.b === null && !data.exclusive) return `The content of ${agree} of ${data.n} tokens speaks for ${data.labels[state.a]}.`;
  const other = state.b === null ? "the mean class" : data.labels[state.b];
  return `The content of ${agree} of ${data.n} tokens is nearer to ${data.labels[state.a]} than to ${other}.`;
}

/** Bars that start where the one before ended: from the bias to the score. As wide as its place, so that its words keep their size. */
function createRunningSum(explorer) {
  const { data, store } = explorer;
  const picture = svg("svg", { class: "running-sum", role: "img" });
  let order = [], shown = null, width = 0;
  const bars = Array.from({ length: data.n }, (_, i) => svg("rect", { onpointerenter: () => store.set({ token: order[i] }) }));
  const zero = svg("line", { x1: LEFT, class: "axis" }), end = svg("line", { x1: LEFT, class: "score" });
  const start = svg("text", { x: LEFT, y: HEIGHT - 9 }), count = svg("text", { y: HEIGHT - 9, "text-anchor": "end" }, `${data.n} tokens, sorted`);
  const landing = svg("text", { "text-anchor": "end", class: "landing" }), nought = svg("text", { x: LEFT - 8, "text-anchor": "end" }, "0");
  picture.append(zero, end, ...bars, start, count, landing, nought);
  new ResizeObserver(([entry]) => {
    width = entry.contentRect.width;
    if (width && shown) layOut();
  }).observe(picture);

  function layOut() {
    const { state, parts, scored } = shown, right = width - RIGHT;
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    order = descending(parts);
    const bias = explorer.derived.over(data.bias, state);
    const levels = [bias];
    for (const t of order) levels.push(levels.at(-1) + parts[t]);
    const high = Math.max(0, ...levels), low = Math.min(0, ...levels), room = HEIGHT - TOP - BOTTOM;
    const step = (right - LEFT) / data.n, y = (v) => TOP + ((high - v) / (high - low || 1)) * room;
    bars.forEach((bar, i) => put(bar, {
      x: LEFT + i * step,
      y: Math.min(y(levels[i]), y(levels[i + 1])),
      width: Math.max(0.8, step * 0.84),
      height: Math.max(1.5, Math.abs(y(levels[i]) - y(levels[i + 1]))),
      rx: Math.min(2, step / 4),
    }));
    put(zero, { x2: right, y1: y(0), y2: y(0) });
    put(end, { x2: right, y1: y(scored), y2: y(scored) });
    put(nought, { y: y(0) + 4 });
    put(count, { x: right });
    // Beside its own line, on the side from which no bar comes; it has a halo for what it may cross all the same.
    const fromAbove = y(scored) - y(high) > 20, below = y(scored) + 17;
    put(landing, { x: right, y: fromAbove && below < HEIGHT - BOTTOM + 6 ? below : y(scored) - 8 });
    const name = (most) => comparison(data, state, most);
    for (const most of [Infinity, 30, 18, 9, 5]) {
      say(landing, `${name(most)}: ${signed(scored)} logits`);
      if (landing.getComputedTextLength() <= right) break;
    }
    say(start, `bias ${signed(bias)}`);
    put(picture, { "aria-label": `Running sum from the bias ${signed(bias)} over ${data.n} tokens to ${signed(scored)} logits for ${name(Infinity)}` });
    colour(state);
  }

  function colour({ token }) {
    bars.forEach((bar, i) => {
      const t = order[i];
      bar.setAttribute("class", (shown.parts[t] >= 0 ? "for" : "against") + (t === token ? " chosen" : ""));
    });
  }

  return {
    element: picture,
    draw(state, parts, scored) {
      const same = shown && parts === shown.parts && scored === shown.scored;
      shown = { state, parts, scored };
      if (!width) return; // not in the page yet
      if (same) colour(state);
      else layOut();
    },
  };
}

function put(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}
