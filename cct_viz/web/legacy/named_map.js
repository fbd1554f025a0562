// One map of a row: the grid, its scale with raw ends, its name and its words.

import { h } from "./dom.js";
import { createGrid, createLegend } from "./grid.js";
import { extent, maximum } from "./maths.js";
import { percent, scaleEnd } from "./words.js";

/**
 * @param {import("./main.js").Explorer} explorer
 * @param {{title: string, words: string, values: (state: import("./store.js").State) => ArrayLike<number>, colours: import("./colour.js").ColourMap}} what
 *   values: (N,) shares or, where the colours are signed, logits
 */
export function createMap(explorer, { title, words, values, colours }) {
  const grid = createGrid(explorer, { label: `${title}: ${words}` }), legend = createLegend();
  return {
    grid,
    element: h("figure", {}, grid.element, legend.element, h("figcaption", {}, h("b", {}, title), " ", words)),
    draw(state) {
      const now = values(state), limit = colours.signed ? extent(now) : maximum(now);
      grid.show(now, limit, colours);
      grid.mark(state);
      if (colours.signed) legend.show(scaleEnd(-limit), scaleEnd(limit), colours);
      else legend.show("0", percent(limit), colours);
    },
  };
}
