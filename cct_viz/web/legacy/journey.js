// The strip of stations from pixels to classes: where in the network the reader is.

import { PHOTO, SIGNED, WEIGHT } from "./colour.js";
import { h, say } from "./dom.js";
import { createPicture } from "./grid.js";
import { argmax, descending, extent, maximum } from "./maths.js";
import { findPool } from "./pools.js";
import { changed } from "./store.js";
import { percent, plural } from "./words.js";

const FOLD = 4; // more layers than that share one station

/** @param {import("./main.js").Explorer} explorer */
export function createJourney(explorer) {
  const { data, store, derived } = explorer;
  const folded = data.layers > FOLD;
  const stations = [
    station("pixels", "Pixels", `${data.width}×${data.height}`, h("img", { src: data.pixels, alt: "" })),
    station("tokens", "Tokens", `${data.rows}×${data.columns} ${overlap(data) ? "overlapping windows" : "patches"}`, strongest(explorer)),
    ...Array.from({ length: folded ? 1 : data.layers }, (_, layer) => {
      const picture = createPicture(data.columns, data.rows, { class: "cells thumb" });
      const made = station("attention", folded ? "Attention" : `Attention ${layer + 1}`, plural(data.heads, "head"), picture.element, folded ? null : layer);
      made.draw = (state) => {
        const shown = derived.lookedAt(state, folded ? state.layer : layer);
        picture.show(shown, maximum(shown), PHOTO);
        if (folded) say(made.note, `layer ${state.layer + 1} of ${data.layers}`);
      };
      return made;
    }),
    pooling(),
    answers(),
  ];

  /** `layer` is set for a station of one attention layer among several. */
  function station(name, title, text, picture, layer = null) {
    const note = h("small", {}, text);
    const open = () => store.set(layer === null ? { station: name } : { station: name, layer, attentionView: "raw" });
    const button = h("button", { type: "button", class: "station", onclick: open }, picture, h("b", {}, title), note);
    return { button, note, isOpen: (state) => state.station === name && (layer === null || state.layer === layer), draw: null };
  }

  function pooling() {
    const picture = createPicture(data.columns, data.rows, { class: "cells thumb" });
    const made = station("seqpool", ...findPool(data.pool).station, picture.element);
    made.draw = (state) => {
      const values = derived.contribution(state) ?? derived.evidence(state);
      picture.show(values, extent(values), SIGNED);
    };
    return made;
  }

  function answers() {
    const bars = h("span", { class: "thumb columns", "aria-hidden": "true" });
    const made = station("classes", "Classes", "", bars);
    made.draw = (state) => {
      const probabilities = derived.probabilities(state), top = argmax(probabilities);
      const shown = data.k <= 12 ? Array.from(probabilities.keys()) : descending(probabilities).slice(0, 10);
      bars.replaceChildren(...shown.map((c) => h("i", { class: c === top ? "top" : "", style: `height: ${2 + 98 * probabilities[c]}%` })));
      say(made.note, `${data.labels[top]} ${percent(probabilities[top])}`);
    };
    return made;
  }

  const element = h("nav", { class: "journey", "aria-label": "Stations of the network" }, stations.map(({ button }) => button));

  /** Bring the open station into the strip, where it scrolls; the page stays where it is. */
  function follow() {
    const open = stations.find(({ button }) => button.hasAttribute("aria-current"))?.button.getBoundingClientRect(), strip = element.getBoundingClientRect();
    if (open && (open.left < strip.left || open.right > strip.right)) element.scrollLeft += open.left + open.width / 2 - strip.left - strip.width / 2;
  }

  return {
    element,
    draw(state, before) {
      if (changed(state, before, "station", "layer")) requestAnimationFrame(follow); // it may not be in the page yet
      for (const { button, isOpen, draw } of stations) {
        const open = isOpen(state);
        if (open) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
        draw?.(state);
      }
    },
  };
}

/** Whether a token's window reaches into its neighbour's. */
function overlap(data) {
  const { stride, window } = data.stages.at(-1);
  return window[0] > stride[0] || window[1] > stride[1];
}

/** The nine strongest feature maps of the last stage. */
function strongest({ data, derived }) {
  const stage = data.stages.at(-1), strengths = derived.strengths(data.stages.length - 1), size = stage.rows * stage.columns;
  const map = (channel) => stage.maps.subarray(channel * size, (channel + 1) * size);
  return h("span", { class: "thumb sheet" }, descending(strengths).slice(0, 9).map((channel) => {
    const picture = createPicture(stage.columns, stage.rows), below = map(channel).some((v) => v < 0);
    picture.show(map(channel), extent(map(channel)), below ? SIGNED : WEIGHT);
    return picture.element;
  }));
}
