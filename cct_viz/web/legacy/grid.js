// A map over the token grid: one square a token, that can be looked at by pointer, touch and keys.

import { paint } from "./colour.js";
import { canvas, h, hasModifier, say } from "./dom.js";
import { drawPixels } from "./pixels.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * @param {{data: {rows: number, columns: number}, store: {state: {token: number | null, held: number | null, pinned: number[]}, set: (patch: object) => void}}} source
 *   an explorer, or cells of their own with what is chosen of them
 * @param {{label: string}} options label: what a screen reader calls the map
 */
export function createGrid({ data, store }, { label }) {
  const { rows, columns } = data;
  const cells = canvas(columns, rows, { class: "cells", "aria-hidden": "true" });
  const context = cells.getContext("2d"), image = context.createImageData(columns, rows);
  const marks = h("div", { class: "marks", "aria-hidden": "true" });
  const chosen = h("i", { class: "chosen" }), pins = [h("i", { class: "pin one" }), h("i", { class: "pin two" })];
  marks.append(chosen, ...pins);
  const element = h("div", {
    class: "grid", tabindex: "0", role: "application", "aria-roledescription": "token map", "aria-label": label,
    style: `aspect-ratio: ${columns} / ${rows}`,
    onpointermove: (event) => look(event), onpointerdown: (event) => press(event), onpointerleave: leave, onkeydown: keys, onclick: touch,
    onpointerup: () => { painting = false; }, onpointercancel: () => { painting = false; },
    onfocus: () => { if (store.state.token === null) store.set({ token: 0 }); },
  }, cells, marks);
  let shown = null, limit = 1, map = null, onpaint = null, painting = false, byTouch = false;

  function tokenAt(event) {
    const box = element.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return row >= 0 && row < rows && column >= 0 && column < columns ? row * columns + column : null;
  }
  function look(event) {
    const token = tokenAt(event);
    if (token === null || (isTouch(event) && !painting)) return;
    if (painting) onpaint(token, false);
    store.set({ token });
  }
  function press(event) {
    const token = tokenAt(event);
    byTouch = isTouch(event);
    if (token === null || !onpaint || event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    painting = true;
    onpaint(token, true);
    store.set({ token });
  }
  function touch(event) {
    const token = tokenAt(event);
    if (token !== null && !onpaint) store.set(chosenBy(token, store.state, byTouch));
  }
  function leave() {
    store.set({ token: store.state.held });
  }
  function keys(event) {
    const step = STEPS[event.key], token = store.state.token ?? 0;
    if (hasModifier(event)) return;
    if (step) {
      const row = Math.min(rows - 1, Math.max(0, Math.floor(token / columns) + step[0]));
      const column = Math.min(columns - 1, Math.max(0, (token % columns) + step[1]));
      store.set({ token: row * columns + column, held: row * columns + column });
    } else if (event.key === "p" || event.key === "P") togglePin(store, token);
    else if ((event.key === " " || event.key === "Enter") && onpaint) onpaint(token, true);
    else if (event.key === " " || event.key === "Enter") store.set({ token, held: token, touched: { token } });
    else if (event.key === "Escape" && store.state.token !== null) store.set(NO_TOKEN);
    else return;
    event.preventDefault();
  }

  const put = (mark, token) => {
    mark.hidden = token === null || token === undefined;
    if (mark.hidden) return;
    mark.style.left = `${(100 * (token % columns)) / columns}%`;
    mark.style.top = `${(100 * Math.floor(token / columns)) / rows}%`;
    mark.style.width = `${100 / columns}%`;
    mark.style.height = `${100 / rows}%`;
  };

  return {
    element,
    /** Show values (N,) on a scale that ends at `end`. */
    show(values, end, colours) {
      if (values === shown && end === limit && colours === map) return;
      [shown, limit, map] = [values, end, colours];
      context.putImageData(paint(image, values, end, colours), 0, 0);
    },
    /** Show colours (N, 3), each as it is. */
    showPixels(pixels) {
      drawPixels(context, pixels);
      shown = null;
    },
    /**
     * From now on a pressed pointer, Enter and the space bar paint; null: they choose, as ever.
     * @param {((token: number, first: boolean) => void) | null} paint first: a stroke begins here
     * @param {string} name what a screen reader now calls the map
     */
    paintWith(paint, name) {
      onpaint = paint;
      painting = false;
      element.classList.toggle("painting", Boolean(paint));
      element.setAttribute("aria-label", name);
    },
    mark(state) {
      put(chosen, state.token);
      pins.forEach((pin, i) => put(pin, state.pinned[i]));
    },
  };
}

export const NO_TOKEN = { token: null, held: null };

/** Fingers choose by tapping only: what begins as a touch may become a scroll. */
export const isTouch = (event) => event.pointerType === "touch";

/** What a click or a tap on a token sets: it is held or, where it was, let go. A mouse still points at it then, a finger does not. */
export function chosenBy(token, { held }, byTouch) {
  return { ...(held !== token ? { token, held: token } : byTouch ? NO_TOKEN : { held: null }), touched: { token } };
}

/** Keep a token for comparison, or let it go; the oldest of three makes room. */
export function togglePin(store, token) {
  const { pinned } = store.state;
  store.set({ pinned: pinned.includes(token) ? pinned.filter((t) => t !== token) : [...pinned, token].slice(-2) });
}

/** A picture of a map that is not looked into: small multiples and thumbnails. */
export function createPicture(columns, rows, attributes = {}) {
  const element = canvas(columns, rows, { class: "cells", ...attributes });
  const context = element.getContext("2d"), image = context.createImageData(columns, rows);
  return { element, show: (values, limit, colours) => context.putImageData(paint(image, values, limit, colours), 0, 0) };
}

/** A colour scale with its raw ends. */
export function createLegend() {
  const low = h("span"), high = h("span"), bar = h("i", { class: "bar", "aria-hidden": "true" });
  return {
    element: h("div", { class: "legend" }, low, bar, high),
    show(from, to, colours) {
      say(low, from);
      say(high, to);
      bar.style.background = `linear-gradient(90deg, ${colours.css})`;
    },
  };
}
