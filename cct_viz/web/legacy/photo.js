// The photo with a map over it, the chosen token's window, the scale and one line of numbers.

import { PHOTO, SIGNED, place } from "./colour.js";
import { canvas, h, say, segments, slider } from "./dom.js";
import { chosenBy, createLegend, isTouch, togglePin } from "./grid.js";
import { descending, extent } from "./maths.js";
import { changed } from "./store.js";
import { number, percent, scaleEnd } from "./words.js";

const SIDE = 192; // pixels of the overlay's longer side; the browser smooths the rest

/** @param {import("./main.js").Explorer} explorer */
export function createPhoto(explorer) {
  const { data, store } = explorer;
  const scale = SIDE / Math.max(data.width, data.height), width = Math.round(data.width * scale), height = Math.round(data.height * scale);
  const overlay = canvas(width, height, { class: "overlay", "aria-hidden": "true" });
  const context = overlay.getContext("2d"), image = context.createImageData(width, height);
  const between = places(data, width, height);
  const frame = h("i", { class: "window" }), pins = [h("i", { class: "window pin one" }), h("i", { class: "window pin two" })], centre = h("i", { class: "centre" });
  const seers = h("p", { class: "line" });
  let shown, byTouch = false;
  const stage = h("div", {
    class: "photo", style: `aspect-ratio: ${data.width} / ${data.height}`,
    onpointerdown: (event) => { byTouch = isTouch(event); },
    onpointermove: (event) => { if (!isTouch(event)) lookAt(event, (token) => ({ token })); },
    onclick: (event) => lookAt(event, (token) => chosenBy(token, store.state, byTouch)),
    onpointerleave: () => { say(seers, ""); store.set({ token: store.state.held }); },
  },
    h("img", { src: data.photo, alt: `The picture that is explained: ${data.about.picture}.` }), overlay, frame, ...pins, centre);
  const legend = createLegend();
  const maps = segments("Map over the photo", overlaysOf(data), (overlay) => store.set({ overlay }));
  const opacity = slider("Opacity", { min: 0, max: 100, step: 5, value: 100 * store.state.opacity }, (v) => `${v} %`, (v) => store.set({ opacity: v / 100 }));
  const line = h("p", { class: "line selection" });
  const pin = h("button", { type: "button", class: "quiet", onclick: () => togglePin(store, store.state.held) });
  const bars = createBars(data, explorer.derived.probabilities);

  /** A pixel of the model's input chooses, of the tokens that see it, the one whose centre is nearest. */
  function lookAt(event, patch) {
    const box = stage.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * data.width), y = Math.floor(((event.clientY - box.top) / box.height) * data.height);
    if (x < 0 || y < 0 || x >= data.width || y >= data.height) return;
    const tokens = tokensAt(data, x, y);
    if (!tokens.length) return;
    say(seers, `Pixel ${x + 1}, ${y + 1} is seen by ${tokens.length} of ${data.n} tokens.`);
    const distance = (t) => { const w = data.window(t); return (w.x - x - 0.5) ** 2 + (w.y - y - 0.5) ** 2; };
    const token = tokens.reduce((best, t) => (distance(t) < distance(best) ? t : best));
    store.set(patch(token));
  }

  function put(mark, token) {
    mark.hidden = token === null || token === undefined;
    if (mark.hidden) return;
    const { y0, x0, y1, x1 } = data.window(token);
    mark.style.left = `${(100 * x0) / data.width}%`;
    mark.style.top = `${(100 * y0) / data.height}%`;
    mark.style.width = `${(100 * (x1 - x0)) / data.width}%`;
    mark.style.height = `${(100 * (y1 - y0)) / data.height}%`;
  }

  function draw(state, before) {
    maps.set(state.overlay);
    opacity.set(Math.round(100 * state.opacity));
    overlay.style.opacity = state.opacity;
    const map = chosenMap(explorer, state);
    if (!before || map.values !== shown) {
      shown = map.values;
      const limit = shown ? extent(shown) : 0, colours = map.signed ? SIGNED : PHOTO;
      paintOver(image, shown && project(between[map.stage ?? between.length - 1], shown), limit, colours);
      context.putImageData(image, 0, 0);
      stage.classList.toggle("grey", Boolean(map.signed)); // an orange cat must not look like evidence
      legend.element.hidden = !shown;
      if (shown) legend.show(map.signed ? map.words(-limit) : "0", map.words(limit) + map.unit, colours);
    }
    put(frame, state.token);
    pins.forEach((pin, i) => put(pin, state.pinned[i]));
    centre.hidden = state.token === null;
    if (state.token !== null) {
      const { y, x } = data.window(state.token);
      centre.style.left = `${(100 * x) / data.width}%`;
      centre.style.top = `${(100 * y) / data.height}%`;
    }
    if (changed(state, before, "token", "a", "b", "layer", "head", "pooling", "beta", "dropped", "painted", "seed")) say(line, explorer.describe(state));
    pin.disabled = state.held === null;
    const isPinned = state.pinned.includes(state.held);
    say(pin, isPinned ? "Unpin" : "Pin");
    pin.setAttribute("aria-label", `${isPinned ? "Unpin" : "Pin"} the chosen token`);
    bars.draw(state);
  }

  const element = h("section", { class: "card rail", "aria-label": "Photo" }, stage, legend.element,
    h("div", { class: "scroll" }, maps.element), opacity.element, h("div", { class: "chosen-token" }, line, pin), seers, bars.element);
  return { element, draw };
}

/** The maps that may lie over the photo: those that this model has. */
export function overlaysOf(data) {
  const list = [["none", "None"], ["evidence", "Evidence"], ["rollout", "Rollout"], ["attention", "Attention"], ["feature", "Feature"]];
  if (data.weights) list.splice(1, 0, ["weight", "Weight"]);
  if (data.weights || data.maxContributions) list.splice(data.weights ? 2 : 1, 0, ["contribution", "Contribution"]);
  return list;
}

/** The map over the photo: a value a token, and how the numbers at the ends of its scale read. */
export function chosenMap({ data, derived }, state) {
  const share = (values) => ({ values, signed: false, words: percent, unit: "" });
  const logits = (values) => ({ values, signed: true, words: scaleEnd, unit: " logits" });
  switch (state.overlay) {
    case "weight": return share(derived.weights(state));
    case "evidence": return logits(derived.evidence(state));
    case "contribution": return logits(derived.contribution(state));
    case "rollout": return share(derived.rolled(state));
    case "attention": return share(derived.looked(state));
    case "feature": {
      const values = derived.feature(state);
      return { values, signed: values.some((v) => v < 0), words: number, unit: " activation", stage: state.feature.stage };
    }
    default: return { values: null };
  }
}

/** For each stage, between which two cells' centres a pixel of the overlay lies, down and across, and how far. */
function places(data, width, height) {
  const along = (centres, count, length) => Array.from({ length: count }, (_, i) => {
    const at = ((i + 0.5) * length) / count, last = centres.length - 1;
    if (at <= centres[0]) return [0, 0, 0];
    if (at >= centres[last]) return [last, last, 0];
    const cell = centres.findIndex((centre) => centre > at) - 1;
    return [cell, cell + 1, (at - centres[cell]) / (centres[cell + 1] - centres[cell])];
  });
  return data.stages.map(({ rows, columns, centres }) => ({
    columns,
    down: along(Array.from({ length: rows }, (_, r) => centres[2 * r * columns]), height, data.height),
    across: along(Array.from({ length: columns }, (_, c) => centres[2 * c + 1]), width, data.width),
  }));
}

/** The tokens whose windows hold pixel (x, y). */
export function tokensAt(data, x, y) {
  const { windows } = data.stages.at(-1);
  return Array.from({ length: data.n }, (_, t) => t).filter((t) => windows[4 * t] <= y && y < windows[4 * t + 2] && windows[4 * t + 1] <= x && x < windows[4 * t + 3]);
}

/** Linear between the cells' centres and constant beyond them, as `project` in cct_viz/reports/figures.py. */
function project({ columns, down, across }, values) {
  const pixels = new Float32Array(down.length * across.length);
  down.forEach(([top, bottom, y], i) => {
    const above = top * columns, below = bottom * columns, row = i * across.length;
    for (let j = 0; j < across.length; j++) {
      const [left, right, x] = across[j];
      const high = values[above + left] + x * (values[above + right] - values[above + left]);
      const low = values[below + left] + x * (values[below + right] - values[below + left]);
      pixels[row + j] = high + y * (low - high);
    }
  });
  return pixels;
}

/** Shares cover the photo evenly, signed values the more the larger they are. */
function paintOver(image, pixels, limit, colours) {
  const { data } = image;
  if (!pixels) { data.fill(0); return; }
  for (let i = 0; i < pixels.length; i++) {
    const from = 3 * place(pixels[i], limit, colours);
    data[4 * i] = colours.table[from]; data[4 * i + 1] = colours.table[from + 1]; data[4 * i + 2] = colours.table[from + 2];
    data[4 * i + 3] = colours.signed ? Math.round(255 * Math.abs(pixels[i]) / (limit || 1)) : 255;
  }
}

/** The five best classes, by the probabilities that belong to a state. @param {(state: import("./store.js").State) => ArrayLike<number>} probabilitiesOf */
export function createBars(data, probabilitiesOf) {
  const element = h("div", { class: "bars", role: "img" });
  let shown = null;
  return {
    element,
    draw(state) {
      const probabilities = probabilitiesOf(state);
      if (probabilities === shown) return;
      shown = probabilities;
      const best = descending(probabilities).slice(0, 5);
      element.setAttribute("aria-label", `Probabilities: ${best.map((c) => `${data.labels[c]} ${percent(probabilities[c])}`).join(", ")}`);
      element.replaceChildren(...best.flatMap((c) => [
        h("span", { class: "name" }, data.labels[c]),
        h("span", { class: "track" }, h("i", { style: `width: ${100 * probabilities[c]}%` })),
        h("span", { class: "value" }, percent(probabilities[c])),
      ]));
    },
  };
}
