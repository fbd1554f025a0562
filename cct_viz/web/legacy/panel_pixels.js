// Pixels: what the model was given, next to what people see.

import { h } from "./dom.js";
import { TIMES } from "./words.js";

/** @param {import("./main.js").Explorer} explorer */
export function createPanel({ data }) {
  return {
    title: "Pixels: what the model was given",
    element: h("div", {},
      h("p", {}, `The model sees ${data.width}${TIMES}${data.height} pixels and nothing else. ${inWords(data)}`),
      h("figure", { class: "seen" }, h("img", { src: data.pixels, alt: `The picture at ${data.width} by ${data.height} pixels.`, style: `aspect-ratio: ${data.width} / ${data.height}` }),
        h("figcaption", {}, h("b", {}, "What the model saw"), " each square is one pixel")),
      h("p", { class: "note" }, "A detail that you cannot see here the model cannot see either.")),
    draw() {},
  };
}

/** What was done to the picture: cut, made smaller, enlarged, both or nothing. */
function inWords(data) {
  const [height, width] = data.original, [y0, x0, y1, x1] = data.crop, high = y1 - y0, wide = x1 - x0;
  const cut = high < height || wide < width ? `the middle ${wide}${TIMES}${high} was cut out` : "";
  const sized = { "1": "made smaller", "-1": "enlarged" }[Math.sign(wide * high - data.width * data.height)];
  if (!cut && !sized) return "The picture came at this size, so it was used as it is.";
  return `The picture came with ${width}${TIMES}${height}; ${[cut || "it was", sized].filter(Boolean).join(cut ? " and " : " ")}.`;
}
