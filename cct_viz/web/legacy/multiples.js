// Many small maps of which one is chosen: a list box that arrow keys walk through in two directions.

import { fresh, h, hasModifier, say } from "./dom.js";
import { createLegend, createPicture } from "./grid.js";

/**
 * @param {object} options
 * @param {string} options.label what a screen reader calls the list
 * @param {number} options.columns cells of a map across @param {number} options.rows and down
 * @param {string[]} options.names what a screen reader calls each map
 * @param {string[]=} options.captions what stands under each map; without, nothing does
 * @param {{corner: string, columns: string[], rows: string[]}=} options.table names over the columns and before the rows,
 *   heard as part of `names`; without, the maps fill as many columns as there is room for
 * @param {(i: number) => void} options.choose by the arrow keys @param {(i: number) => void} options.act by click, Enter or space
 */
export function createMultiples({ label, columns, rows, names, captions, table, choose, act }) {
  const prefix = fresh("map");
  const cells = names.map((name, i) => {
    const picture = createPicture(columns, rows, { style: `aspect-ratio: ${columns} / ${rows}` });
    const caption = captions ? h("span", { class: "caption" }, captions[i]) : null;
    const bar = h("i"), track = h("span", { class: "track", hidden: true }, bar);
    const attributes = { id: `${prefix}-${i}`, class: "multiple", role: "option", "aria-selected": "false", "aria-label": name, onclick: () => act(i) };
    const element = h("div", attributes, picture.element, caption, track);
    return { element, picture, caption, bar, track };
  });
  const hidden = (text, name) => h("span", { class: name, "aria-hidden": "true" }, text);
  const across = table?.columns.length;
  const content = table ? [hidden(table.corner, "before"), ...table.columns.map((text) => hidden(text, "over")), ...table.rows.map((text, r) => (
    h("div", { role: "group", "aria-label": text }, hidden(text, "before"), cells.slice(r * across, (r + 1) * across).map(({ element }) => element))))]
    : cells.map(({ element }) => element);
  const element = h("div", {
    class: table ? "multiples table" : "multiples", role: "listbox", tabindex: "0", "aria-label": label, onkeydown: keys,
    style: table ? `grid-template-columns: auto repeat(${across}, minmax(36px, ${table.rows.length > 6 ? 60 : 84}px))` : null,
  }, content);
  let order = names.map((_, i) => i), marked = null;

  function keys(event) {
    const width = across ?? getComputedStyle(element).gridTemplateColumns.split(" ").length, at = order.indexOf(marked);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - width, ArrowDown: at + width, Home: 0, End: order.length - 1 }[event.key];
    if (hasModifier(event)) return;
    if (to !== undefined && order.length) {
      const i = order[at < 0 ? 0 : to < 0 || to >= order.length ? at : to];
      mark(i); // at once: the next key may come before the next frame
      choose(i);
      cells[i].element.scrollIntoView({ block: "nearest" });
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) act(marked);
    else return;
    event.preventDefault();
  }

  /** Mark the chosen map; null marks none. */
  function mark(i) {
    if (marked === i) return;
    if (marked !== null) cells[marked].element.setAttribute("aria-selected", "false");
    marked = i;
    if (i === null) { element.removeAttribute("aria-activedescendant"); return; }
    cells[i].element.setAttribute("aria-selected", "true");
    element.setAttribute("aria-activedescendant", cells[i].element.id);
  }

  return {
    element,
    show: (i, values, limit, colours) => cells[i].picture.show(values, limit, colours),
    /** Words that follow a map's name, read and shown, and under them a bar of so much of the whole. */
    describe(i, text, share) {
      const { element: cell, caption, bar, track } = cells[i];
      say(caption, `${captions[i]}\n${text}`);
      cell.setAttribute("aria-label", `${names[i]}, ${text}`);
      track.hidden = false;
      bar.style.width = `${100 * Math.min(1, share)}%`;
    },
    mark,
    /** Only these maps, in this order. */
    arrange(list) {
      order = list;
      element.replaceChildren(...list.map((i) => cells[i].element));
    },
  };
}

/** The scale of small maps: each its own, or one for all of them. @param {import("./main.js").Explorer} explorer */
export function createScale({ store }) {
  const legend = createLegend();
  const button = h("button", { type: "button", class: "quiet", onclick: () => store.set({ commonScale: !store.state.commonScale }) }, "One scale for all");
  return {
    element: h("div", { class: "row scale" }, legend.element, button),
    /** @param {string} end the largest value of all maps in words */
    show({ commonScale }, colours, end) {
      button.setAttribute("aria-pressed", String(commonScale));
      const high = commonScale ? end : "each map's largest";
      legend.show(colours.signed ? `${commonScale ? `\u2212${end}` : "minus the same"}` : "0", high, colours);
    },
  };
}
