// Pixels: what the model was given, next to what people see.

import { h } from "./dom.js";
import { TIMES } from "./words.js";

/** @param {import("./main.js").Explorer} explorer */
export function createPanel({ data }) {
  const [height, width] = data.original, [y0, x0, y1, x1] = data.crop;
  const whole = height === data.height && width === data.width;
  const cut = y1 - y0 < height || x1 - x0 < width;
  return {
    title: "Pixels: what the model was given",
    element: h("div", {},
      h("p", {}, `The model sees ${data.width}${TIMES}${data.height} pixels and nothing else. ${whole ? "The picture came at this size, so it was used as it is." :
        `The picture came with ${width}${TIMES}${height}; ${cut ? `the middle ${x1 - x0}${TIMES}${y1 - y0} was cut out and ` : "it was "}made smaller.`}`),
      h("figure", { class: "seen" }, h("img", { src: data.pixels, alt: `The picture at ${data.width} by ${data.height} pixels.`, style: `aspect-ratio: ${data.width} / ${data.height}` }),
        h("figcaption", {}, h("b", {}, "What the model saw"), " each square is one pixel")),
      h("p", { class: "note" }, "A detail that you cannot see here the model cannot see either.")),
    draw() {},
  };
}
