// Painting weights and taking tokens out, with the pointer or with keys, on the weight map of the laboratory.

import { h, say, segments, svg } from "./dom.js";
import { place } from "./words.js";

const STRENGTH = 2; // even shares that a touch of the brush adds
const LISTED = 8;

const HINTS = {
  look: "Point at a token to read its numbers.",
  paint: "Draw on the weight map, or move with the arrow keys and press Enter. Each touch adds twice an even share.",
  erase: "Draw over tokens whose weight is to be 0, or press Enter on them.",
  drop: "Click a token, or press Enter on it, to take it out of the pool; do it again to put it back. Attention has already carried " +
    "some of its content to the others.",
};

/**
 * @param {import("./main.js").Explorer} explorer
 * @param {ReturnType<typeof import("./grid.js").createGrid>} grid the weight map
 */
export function createBrush({ data, store, derived }, grid) {
  let tool = "look", stroke = null;
  const tools = segments("Pointer on the weight map", [["look", "Look"], ["paint", "Paint"], ["erase", "Erase"], ["drop", "Drop"]], hold);
  const hint = h("p", { class: "note hint" });

  function hold(chosen) {
    tool = chosen;
    tools.set(tool);
    say(hint, HINTS[tool]);
    grid.paintWith(tool === "look" ? null : touch, tool === "look" ? "Weight now" : `Weight now. ${HINTS[tool]}`);
  }

  function touch(token, first) {
    if (first) stroke = { last: token, drop: !store.state.dropped.has(token) };
    else if (token === stroke.last) return;
    const cells = first ? [token] : between(stroke.last, token, data.columns);
    stroke.last = token;
    if (tool === "drop") store.set({ dropped: withTokens(store.state.dropped, cells, stroke.drop) });
    else store.set(painted(store.state, cells));
  }

  /** A painting goes on from whatever weights are shown. */
  function painted(state, cells) {
    const begun = state.pooling === "painted" && state.painted ? state.painted : derived.weights(state);
    const weights = Float64Array.from(begun);
    for (const t of cells) weights[t] = tool === "erase" ? 0 : weights[t] + STRENGTH / data.n;
    const dropped = tool === "paint" && cells.some((t) => state.dropped.has(t)) ? withTokens(state.dropped, cells, false) : state.dropped;
    return { pooling: "painted", painted: weights, dropped };
  }

  const crosses = createCrosses(data);
  grid.element.append(crosses.element);
  hold("look");
  return { element: h("div", { class: "brush" }, tools.element, hint), hold, draw: (state) => crosses.draw(state.dropped) };
}

/** The set with `tokens` added or taken away; a set of its own, for states are compared by identity. */
export function withTokens(set, tokens, add) {
  const made = new Set(set);
  for (const token of tokens) if (add) made.add(token); else made.delete(token);
  return made;
}

/** The tokens on a straight line to `to`, without `from`: a quick pointer leaves no gaps. */
export function between(from, to, columns) {
  const row = (t) => Math.floor(t / columns), column = (t) => t % columns;
  const steps = Math.max(Math.abs(row(to) - row(from)), Math.abs(column(to) - column(from)));
  return Array.from({ length: steps }, (_, i) => {
    const part = (i + 1) / steps;
    return Math.round(row(from) + part * (row(to) - row(from))) * columns + Math.round(column(from) + part * (column(to) - column(from)));
  });
}

/** A cross on every token that was taken out. */
export function createCrosses({ rows, columns }) {
  const edge = svg("path", { class: "edge" }), line = svg("path", { class: "line" });
  let shown = null;
  return {
    element: svg("svg", { class: "crosses", viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" }, edge, line),
    draw(dropped) {
      if (dropped === shown) return;
      shown = dropped;
      const d = Array.from(dropped, (t) => `M${(t % columns) + 0.22} ${Math.floor(t / columns) + 0.22}l.56 .56m0-.56l-.56 .56`).join("");
      for (const path of [edge, line]) path.setAttribute("d", d);
    },
  };
}

/** The tokens that were taken out, each with a button that puts it back. */
export function createDroppedList({ data, store }) {
  const words = h("span"), buttons = h("span", { class: "chips" }), more = h("span");
  const all = h("button", { type: "button", class: "quiet", onclick: () => store.set({ dropped: new Set() }) }, "Put all back");
  const element = h("div", { class: "dropped", hidden: true }, words, buttons, more, all);
  let shown = null;
  return {
    element,
    draw({ dropped }) {
      if (dropped === shown) return;
      shown = dropped;
      element.hidden = !dropped.size;
      const tokens = [...dropped].sort((x, y) => x - y);
      say(words, `Taken out (${tokens.length}):`);
      say(more, tokens.length > LISTED ? `and ${tokens.length - LISTED} more` : "");
      buttons.replaceChildren(...tokens.slice(0, LISTED).map((t) => h("button", {
        type: "button", class: "quiet", "aria-label": `Put back the token in ${place(t, data.columns)}`,
        onclick: () => store.set({ dropped: withTokens(store.state.dropped, [t], false) }),
      }, `${place(t, data.columns)} ✕`)));
    },
  };
}
