// The photo with a map over it, the chosen token's window, the scale and one line of numbers.

import { PHOTO, SIGNED, place } from "./colour.js";
import { canvas, h, say, segments, slider } from "./dom.js";
import { createLegend } from "./grid.js";
import { descending, extent } from "./maths.js";
import { changed } from "./store.js";
import { number, percent, signed } from "./words.js";

/** @param {import("./main.js").Explorer} explorer */
export function createPhoto(explorer) {
  const { data, store } = explorer;
  const overlay = canvas(data.width, data.height, { class: "overlay", "aria-hidden": "true" });
  const context = overlay.getContext("2d"), image = context.createImageData(data.width, data.height);
  const cover = coverage(data);
  const frame = h("i", { class: "window" }), pins = [h("i", { class: "window pin one" }), h("i", { class: "window pin two" })], centre = h("i", { class: "centre" });
  const seers = h("p", { class: "line" });
  let shown;
  const stage = h("div", {
    class: "photo", style: `aspect-ratio: ${data.width} / ${data.height}`,
    onpointermove: lookAt, onpointerdown: lookAt, onpointerleave: () => { say(seers, ""); store.set({ token: store.state.held }); },
  },
    h("img", { src: data.photo, alt: `The picture that is explained: ${data.about.picture}.` }), overlay, frame, ...pins, centre);
  const legend = createLegend();
  const maps = segments("Map over the photo", overlays(explorer), (overlay) => store.set({ overlay }));
  const opacity = slider("Opacity", { min: 0, max: 100, step: 5, value: 100 * store.state.opacity }, (v) => `${v} %`, (v) => store.set({ opacity: v / 100 }));
  const line = h("p", { class: "line selection" });
  const bars = createBars(explorer);

  /** A pixel of the model's input chooses, of the tokens that see it, the one whose centre is nearest. */
  function lookAt(event) {
    const box = stage.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * data.width), y = Math.floor(((event.clientY - box.top) / box.height) * data.height);
    if (x < 0 || y < 0 || x >= data.width || y >= data.height) return;
    const tokens = tokensAt(data, x, y);
    if (!tokens.length) return;
    say(seers, `Pixel ${x + 1}, ${y + 1} is seen by ${tokens.length} of ${data.n} tokens.`);
    const distance = (t) => { const w = data.window(t); return (w.x - x - 0.5) ** 2 + (w.y - y - 0.5) ** 2; };
    const token = tokens.reduce((best, t) => (distance(t) < distance(best) ? t : best));
    store.set({ token, held: event.type === "pointerdown" ? token : store.state.held });
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
      const pixels = shown && project(cover[map.stage ?? cover.length - 1], shown, data);
      const limit = pixels ? extent(pixels) : 0, colours = map.signed ? SIGNED : PHOTO;
      paintOver(image, pixels, limit, colours);
      context.putImageData(image, 0, 0);
      legend.element.hidden = !pixels;
      if (pixels) legend.show(map.signed ? map.words(-limit) : "0", map.words(limit) + map.unit, colours);
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
    bars.draw(state);
  }

  const element = h("section", { class: "card rail", "aria-label": "Photo" }, stage, legend.element,
    h("div", { class: "scroll" }, maps.element), opacity.element, line, seers, bars.element);
  return { element, draw };
}

/** The maps that may lie over the photo: those that this model has. */
function overlays({ data }) {
  const list = [["none", "None"], ["evidence", "Evidence"], ["rollout", "Rollout"], ["attention", "Attention"], ["feature", "Feature"]];
  if (data.weights) list.splice(1, 0, ["weight", "Weight"]);
  if (data.weights || data.maxContributions) list.splice(data.weights ? 2 : 1, 0, ["contribution", "Contribution"]);
  return list;
}

/** The map over the photo: a value a token, and how the numbers at the ends of its scale read. */
function chosenMap({ data, derived }, state) {
  const share = (values) => ({ values, signed: false, words: percent, unit: " a token" });
  const logits = (values) => ({ values, signed: true, words: signed, unit: " logits a token" });
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

/** For each stage the tokens' windows as they cover rows and columns of pixels. */
function coverage(data) {
  return data.stages.map((stage) => ({
    ...stage,
    seen: Array.from({ length: data.height }, (_, y) => Array.from({ length: stage.rows }, (_, r) => r).filter((r) => stage.windows[4 * r * stage.columns] <= y && y < stage.windows[4 * r * stage.columns + 2])),
    across: Array.from({ length: data.width }, (_, x) => Array.from({ length: stage.columns }, (_, c) => c).filter((c) => stage.windows[4 * c + 1] <= x && x < stage.windows[4 * c + 3])),
  }));
}

/** The tokens whose windows hold pixel (x, y). */
export function tokensAt(data, x, y) {
  const { windows } = data.stages.at(-1);
  return Array.from({ length: data.n }, (_, t) => t).filter((t) => windows[4 * t] <= y && y < windows[4 * t + 2] && windows[4 * t + 1] <= x && x < windows[4 * t + 3]);
}

/** Every pixel gets the mean of the tokens that see it, as `average` in cct_viz/explain/projection.py. */
function project({ seen, across, columns }, values, { width, height }) {
  const sums = new Float64Array(height * columns); // first along the rows, then across: windows are boxes
  for (let y = 0; y < height; y++) for (let c = 0; c < columns; c++) for (const r of seen[y]) sums[y * columns + c] += values[r * columns + c];
  const pixels = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (const c of across[x]) total += sums[y * columns + c];
      const count = seen[y].length * across[x].length;
      pixels[y * width + x] = count ? total / count : 0;
    }
  }
  return pixels;
}

/** The paler the nearer to 0, so that the photo stays in sight. */
function paintOver(image, pixels, limit, colours) {
  const { data } = image;
  if (!pixels) { data.fill(0); return; }
  for (let i = 0; i < pixels.length; i++) {
    const from = 3 * place(pixels[i], limit, colours);
    data[4 * i] = colours.table[from]; data[4 * i + 1] = colours.table[from + 1]; data[4 * i + 2] = colours.table[from + 2];
    data[4 * i + 3] = limit > 0 ? Math.round(255 * Math.min(1, 0.1 + 0.9 * Math.sqrt(Math.abs(pixels[i]) / limit))) : 0;
  }
}

/** The five best classes under the present weights. */
function createBars({ data, derived }) {
  const element = h("div", { class: "bars", role: "img" });
  let shown = null;
  return {
    element,
    draw(state) {
      const probabilities = derived.probabilities(state);
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
