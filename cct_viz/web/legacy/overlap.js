// Why tokens overlap, and where their centres lie: the windows of a cell and its neighbour over the pixels.

import { fresh, h, say, svg } from "./dom.js";
import { TIMES, number, place, plural } from "./words.js";

/** @param {import("./data.js").Data} data @param {number} stage */
export function createOverlap(data, stage) {
  const { rows, columns, windows, centres, stride, window } = data.stages[stage], isLast = stage === data.stages.length - 1;
  const what = isLast ? "token" : "cell", title = stride[1] < window[1] ? `Why ${what}s overlap` : `Where ${what}s lie`;
  const near = Math.max(...window) < Math.min(data.width, data.height) / 8, side = near ? 4 * Math.max(...window) : 0; // small windows are shown from near
  const hatch = fresh("hatch"), unit = (side || Math.max(data.width, data.height)) / 100;
  const frame = (name) => [svg("rect", { class: `edge ${name}` }), svg("rect", { class: `line ${name}` })];
  const shared = svg("rect", { fill: `url(#${hatch})` }), own = frame("own"), next = frame("next");
  const dots = [svg("circle", { r: 1.6 * unit, class: "dot" }), svg("rect", { width: 3 * unit, height: 3 * unit, class: "dot" })];
  const stripes = svg("pattern", { id: hatch, width: 3 * unit, height: 3 * unit, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 3 * unit, height: 3 * unit, fill: "#111", opacity: 0.35 }),
    svg("rect", { width: 1.2 * unit, height: 3 * unit, fill: "#fff", opacity: 0.8 }));
  const picture = svg("svg", { viewBox: `0 0 ${data.width} ${data.height}`, class: "overlap", role: "img" }, svg("defs", {}, stripes),
    svg("image", { href: data.pixels, width: data.width, height: data.height }), shared, ...own, ...next, ...dots);
  const here = h("p", { class: "line" });
  let shown = null;

  function put(marks, [y0, x0, y1, x1]) {
    const box = Object.entries({ x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0) });
    for (const mark of marks) for (const [name, value] of box) mark.setAttribute(name, value);
  }

  return {
    element: h("figure", {}, picture, h("figcaption", {}, h("b", {}, title), " ", inWords(data, stage, what)), here),
    draw(cell) {
      if (cell === shown) return;
      shown = cell;
      const other = neighbour(cell, rows, columns), at = (i) => windows.subarray(4 * i, 4 * i + 4), a = at(cell), b = other === null ? null : at(other);
      put(own, a);
      for (const mark of [...next, shared, dots[1]]) mark.toggleAttribute("hidden", b === null);
      const [y, x] = centres.subarray(2 * cell, 2 * cell + 2);
      dots[0].setAttribute("cx", x);
      dots[0].setAttribute("cy", y);
      if (b) {
        put(next, b);
        put([shared], [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
        dots[1].setAttribute("x", centres[2 * other + 1] - 1.5 * unit);
        dots[1].setAttribute("y", centres[2 * other] - 1.5 * unit);
      }
      if (near) picture.setAttribute("viewBox", `${within(x - side / 2, data.width - side)} ${within(y - side / 2, data.height - side)} ${side} ${side}`);
      const height = a[2] - a[0], width = a[3] - a[1], cut = height < window[0] || width < window[1];
      const both = b && b[1] < a[3] && a[1] < b[3] && b[0] < a[2] && a[0] < b[2];
      const text = [
        `${near ? "Enlarged. " : ""}Solid, round: ${what} ${place(cell, columns)}, its centre ${number(x)} px from the left and ${number(y)} px from the top.`,
        cut ? `Its window is cut at the edge to ${width}${TIMES}${height} pixels.` : "",
        b ? "Dashed, square: its neighbour." : "",
        both ? "Hatched: seen by both." : "",
      ].filter(Boolean).join(" ");
      say(here, text);
      picture.setAttribute("aria-label", text);
    },
  };
}

const within = (value, most) => Math.max(0, Math.min(most, value));

/** The cell to the right; at the end of a row the one to the left, and in a single column the one below or above. */
function neighbour(cell, rows, columns) {
  if (columns > 1) return cell % columns < columns - 1 ? cell + 1 : cell - 1;
  if (rows > 1) return cell < rows - 1 ? cell + 1 : cell - 1;
  return null;
}

/** What stride and window make of neighbours, and by how much a plain enlargement of the grid would miss the centres. */
function inWords(data, stage, what) {
  const { rows, columns, centres, windows, stride: [down, right], window: [high, wide] } = data.stages[stage];
  const size = `Each ${what} sees a window of ${wide}${TIMES}${high} pixels; the next one starts ${plural(right, "pixel")} further.`;
  const gap = Math.max(right - wide, down - high);
  const step = gap < 0
    ? `So neighbours share ${wide - right} of ${plural(wide, "column")}, and a pixel is seen by up to ${crowd(windows, rows, columns, data)} ${what}s.`
    : gap > 0 ? `So ${plural(gap, "pixel")} between neighbours ${gap === 1 ? "is" : "are"} seen by none.` : "So neighbours only touch: no pixel is seen twice.";
  const row = rows >> 1, column = columns >> 1, middle = row * columns + column;
  const y = centres[2 * middle] - ((row + 0.5) * data.height) / rows;
  const x = centres[2 * middle + 1] - ((column + 0.5) * data.width) / columns;
  const off = (by, before, after) => `${number(Math.abs(by), 2)} px too far ${by > 0 ? before : after}`;
  const centre = Math.hypot(y, x) < 0.05 ? `A grid stretched over the picture has its ${what}s just where their centres are.`
    : `A grid stretched over the picture would put the middle ${what} ${off(x, "left", "right")} and ${off(y, "up", "down")}; maps here lie by the centres.`;
  return `${size} ${step} ${centre}`;
}

/** The most windows that hold one pixel: the most down times the most across, as windows are boxes. */
function crowd(windows, rows, columns, { width, height }) {
  const most = (count, length, start, end) => {
    const held = new Array(length).fill(0);
    for (let cell = 0; cell < count; cell++) for (let i = start(cell); i < end(cell); i++) held[i]++;
    return Math.max(...held);
  };
  const down = most(rows, height, (r) => windows[4 * r * columns], (r) => windows[4 * r * columns + 2]);
  return down * most(columns, width, (c) => windows[4 * c + 1], (c) => windows[4 * c + 3]);
}
