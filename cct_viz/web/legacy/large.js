// One map large, with its scale and a line that names it: the token grid as everywhere, so it selects as everywhere.

import { h, say } from "./dom.js";
import { createGrid, createLegend } from "./grid.js";

/**
 * @param {{data: {rows: number, columns: number}, store: any}} source whose cells are looked at: an explorer's tokens,
 *   or the cells of an earlier conv stage with a store of their own
 * @param {string} label @param {string} kind what a screen reader calls the thing
 */
export function createLarge(source, label, kind = "token map") {
  const grid = createGrid(source, { label }), legend = createLegend(), name = h("b", {}, label), words = h("span");
  grid.element.setAttribute("aria-roledescription", kind);
  return {
    element: h("figure", { class: "large" }, grid.element, legend.element, h("figcaption", {}, name, " ", words)),
    /** @param {[string, string]} ends what the ends of the scale stand for */
    show(values, limit, colours, ends) {
      grid.show(values, limit, colours);
      legend.show(...ends, colours);
    },
    mark: grid.mark,
    say(title, text) {
      say(name, title);
      say(words, text);
      if (grid.element.getAttribute("aria-label") !== title) grid.element.setAttribute("aria-label", title);
    },
  };
}
