// Deletion and insertion curves over the band of random orders, as pictures.

import { h, say, svg } from "./dom.js";
import { percent } from "./words.js";

const WIDTH = 360, HEIGHT = 190, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 30;
const WORDS = {
  deletion: ["taken away", "as the first tokens of the map are taken away"],
  insertion: ["put back", "with only the first tokens of the map there"],
};

/** @param {"deletion" | "insertion"} which @param {number} n tokens */
export function createCurve(which, n) {
  const [end, title] = WORDS[which], at = (share) => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
  const band = svg("polygon", { class: "band" }), line = svg("polyline", { class: "curve" });
  const ticks = [0, 0.5, 1].flatMap((share) => [
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: at(share), y2: at(share) }),
    svg("text", { x: LEFT - 6, y: at(share) + 4, "text-anchor": "end" }, `${100 * share} %`),
  ]);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "curves", role: "img" }, ...ticks, band, line,
    svg("text", { x: LEFT, y: HEIGHT - 8 }, "0"), svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end" }, `${n} tokens ${end}`));
  const name = h("b"), words = h("span", {}, ` ${title}`);
  const points = (pairs) => pairs.map(([x, y]) => `${(LEFT + (x / n) * (WIDTH - LEFT - RIGHT)).toFixed(1)},${at(y).toFixed(1)}`).join(" ");

  return {
    element: h("figure", {}, picture, h("figcaption", {}, name, words)),
    /**
     * @param {string} label of the class whose probability is watched @param {number[]} steps
     * @param {number[]} curve as far as it is known @param {[number[], number[]] | null} edges lower and upper of the band
     */
    show(label, steps, curve, edges) {
      line.setAttribute("points", points(curve.map((y, i) => [steps[i], y])));
      band.setAttribute("points", edges ? points([...edges[1].map((y, i) => [steps[i], y]), ...edges[0].map((y, i) => [steps[i], y]).reverse()]) : "");
      say(name, `${which === "deletion" ? "Deletion" : "Insertion"}: ${label}`);
      const ends = curve.length ? `, from ${percent(curve[0])} to ${percent(curve.at(-1))}` : "";
      picture.setAttribute("aria-label", `${name.textContent} ${title}${ends}`);
    },
  };
}
