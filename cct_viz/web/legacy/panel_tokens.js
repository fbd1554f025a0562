// Tokens: the feature maps of every conv stage, and why tokens overlap.

import { SIGNED, WEIGHT } from "./colour.js";
import { fresh, h, say, segments } from "./dom.js";
import { createLarge } from "./large.js";
import { descending, extent } from "./maths.js";
import { createMultiples, createScale } from "./multiples.js";
import { createOverlap } from "./overlap.js";
import { createStore } from "./store.js";
import { TIMES, number, place, plural, scaleEnd } from "./words.js";

const ORDERS = [["strength", "Strongest first"], ["number", "By number"]];
const LIMITS = "A feature map shows where a filter answers and how strongly. Its name is a number: nobody gave it a meaning.";

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { data, store, derived } = explorer, last = data.stages.length - 1;
  const sheets = new Map(), body = h("div");
  const strongest = (stage) => descending(derived.strengths(stage));
  const open = (stage) => store.set({ feature: { stage, channel: strongest(stage)[0] } });
  const stages = segments("Conv stage", data.stages.map((_, i) => [i, `Stage ${i + 1}`]), open);
  return {
    title: "Tokens: what the convolutions make of the picture",
    element: h("div", { class: "tokens" }, last ? h("div", { class: "row" }, stages.element) : null, body),
    draw(state) {
      const { stage } = state.feature;
      stages.set(stage);
      if (!sheets.has(stage)) sheets.set(stage, createStage(explorer, stage, strongest(stage)));
      const now = sheets.get(stage);
      if (body.firstChild !== now.element) body.replaceChildren(now.element);
      now.draw(state);
    },
  };
}

/** All maps of one stage, the chosen one large, and how its cells lie on the picture. */
function createStage(explorer, stage, byStrength) {
  const { data, store, derived } = explorer, { rows, columns, channels, maps } = data.stages[stage], size = rows * columns;
  const isLast = stage === data.stages.length - 1, cellWord = isLast ? "Token" : "Cell";
  const map = (channel) => maps.subarray(channel * size, (channel + 1) * size);
  const strengths = derived.strengths(stage), largest = extent(maps), colours = maps.some((v) => v < 0) ? SIGNED : WEIGHT;
  const order = segments("Order of the maps", ORDERS, (channelOrder) => store.set({ channelOrder }));
  const id = fresh("channel"), found = h("span", { class: "line", role: "status" });
  const search = h("input", {
    id, type: "search", inputmode: "numeric", autocomplete: "off", placeholder: `1 to ${channels}`,
    oninput: () => arrange(store.state), onkeydown: (event) => { if (event.key === "Enter") lay(listed[0]); },
  });
  const scale = createScale(explorer), overlap = createOverlap(data, stage);
  const sheet = createMultiples({
    label: `Feature maps of stage ${stage + 1}`, columns, rows, names: Array.from(strengths, (v, c) => `channel ${c + 1}, energy ${number(v)}`),
    captions: Array.from(strengths, (_, c) => `${c + 1}`), choose: (channel) => store.set({ feature: { stage, channel } }), act: lay,
  });
  // The last stage's cells are the tokens; an earlier stage's cells are chosen here alone.
  const cells = isLast ? store : createStore({ token: null, held: null, pinned: [] });
  const large = createLarge({ data: { rows, columns }, store: cells }, "Feature map", isLast ? "token map" : "map of cells");
  const reading = h("p", { class: "line reading" });
  let listed = [], arranged = "", drawn = null;
  if (!isLast) cells.follow(() => { if (drawn !== null) read(store.state); });

  function lay(channel) {
    if (channel !== undefined) store.set({ feature: { stage, channel }, overlay: "feature" });
  }

  /** Those whose number begins with what was typed, that very number first. */
  function arrange({ channelOrder }) {
    const typed = search.value.trim(), key = `${channelOrder} ${typed}`;
    if (key === arranged) return;
    arranged = key;
    const all = channelOrder === "strength" ? byStrength : Array.from(byStrength.keys());
    listed = all.filter((channel) => String(channel + 1).startsWith(typed));
    listed.sort((a, b) => (String(b + 1) === typed) - (String(a + 1) === typed));
    sheet.arrange(listed);
    say(found, !typed ? "" : listed.length ? plural(listed.length, "map") : `No channel ${typed}: this stage has 1 to ${channels}.`);
  }

  /** The value of the chosen cell, and where its window lies. */
  function read(state) {
    const cell = isLast ? state.token : cells.state.token, values = derived.feature(state);
    large.mark(cells.state);
    say(reading, cell === null ? `Point at a ${cellWord.toLowerCase()} to read its value.` : `${cellWord} ${place(cell, columns)}: ${number(values[cell])}.`);
    overlap.draw(cell ?? nearest(data.stages[stage], data, state.token));
  }

  return {
    element: h("div", {},
      h("p", {}, facts(data, stage, isLast)),
      h("div", { class: "row" }, order.element, h("label", { class: "field", for: id }, h("span", {}, "Channel"), search), found),
      sheet.element, scale.element,
      h("div", { class: "pair wide" }, h("div", {}, large.element, reading), overlap.element),
      h("p", { class: "note" }, LIMITS)),
    draw(state) {
      order.set(state.channelOrder);
      arrange(state);
      const { channel } = state.feature, { commonScale } = state, values = derived.feature(state), limit = commonScale ? largest : extent(values);
      if (drawn !== commonScale) {
        drawn = commonScale;
        for (let c = 0; c < channels; c++) sheet.show(c, map(c), commonScale ? largest : extent(map(c)), colours);
        scale.show(state, colours, number(largest));
      }
      sheet.mark(channel);
      large.show(values, limit, colours, colours.signed ? [scaleEnd(-limit), scaleEnd(limit)] : ["0", number(limit)]);
      const rank = `number ${byStrength.indexOf(channel) + 1} by energy, the root of its mean square: ${number(strengths[channel])}.`;
      const how = state.overlay === "feature" ? "It lies over the photo." : "Click a small map, or press Enter on it, to lay it over the photo.";
      large.say(`Channel ${channel + 1} of ${channels}`, `${rank} ${how}`);
      read(state);
    },
  };
}

function facts({ stages, n }, stage, isLast) {
  const { rows, columns, channels } = stages[stage], from = stage ? `the maps of stage ${stage}` : "the picture";
  const what = stages.length > 1 ? `Stage ${stage + 1} of ${stages.length}` : "The tokenizer";
  const next = isLast ? `These cells are the ${n} tokens: a token is its ${channels} values, one of each map.` : `They go on to stage ${stage + 2}.`;
  return `${what} turns ${from} into ${plural(channels, "feature map")} of ${columns}${TIMES}${rows} cells. ${next}`;
}

/** The cell of a stage whose centre is nearest to that of a token; with no token, to the middle of the picture. */
function nearest({ centres }, data, token) {
  const { y, x } = token === null ? { y: data.height / 2, x: data.width / 2 } : data.window(token);
  let best = 0, least = Infinity;
  for (let cell = 0; cell < centres.length / 2; cell++) {
    const distance = (centres[2 * cell] - y) ** 2 + (centres[2 * cell + 1] - x) ** 2;
    if (distance < least) [best, least] = [cell, distance];
  }
  return best;
}
