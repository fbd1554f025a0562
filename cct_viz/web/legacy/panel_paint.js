// Paint over: pixels of the model's own picture changed by hand. The whole model answers again, here in the page.

import { h, say, segments } from "./dom.js";
import { createGrid } from "./grid.js";
import { between } from "./laboratory_brush.js";
import { tell } from "./laboratory_tables.js";
import { argmax, descending } from "./maths.js";
import { colourAt, countSeers, differing, meanColour, paintSquares } from "./painting.js";
import { tokensAt } from "./photo.js";
import { readPixels } from "./pixels.js";
import { AGAIN } from "./removal.js";
import { ofRounding, percent, place, plural } from "./words.js";

const BEST = 5;
const HINTS = {
  brush: "Draw on the picture, or move with the arrow keys and press Enter.",
  pick: "Click a pixel, or press Enter on it, to take its colour; the brush then paints with it.",
};
const NOTE = "Painting changes pixels before the tokenizer: every token whose window holds a painted pixel can change, and where " +
  "windows overlap its neighbours with it; attention carries the change on to all others. Paint is not absence: a black square is something to see. " +
  "The photo and all other stations stay as they are; the next picture starts unpainted.";

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { data, store, lifetime, inside } = explorer;
  /** (K,) logits of the pictures that have been asked for. @type {WeakMap<Uint8ClampedArray, Float32Array>} */
  const answers = new WeakMap();
  let original = null, pixels = null, answered = null, working = false, failed = false, again = 0; // pictures (H, W, 3); answered: the last with an answer
  let tool = "brush", size = 3, colour = "mean", last = null, speaking = 0, shown = [];
  const palette = { mean: null, black: [0, 0, 0], white: [255, 255, 255], picked: null };

  const cursor = { state: { token: null, held: null, pinned: [] }, set(patch) { cursor.state = { ...cursor.state, ...patch, pinned: [] }; look(); } };
  const grid = createGrid({ data: { rows: data.height, columns: data.width }, store: cursor }, { label: "" });
  grid.element.setAttribute("aria-roledescription", "picture");
  const tools = segments("Tool", [["brush", "Brush"], ["pick", "Pick a colour"]], hold);
  const sizes = segments("Brush size in pixels", [1, 3, 5].map((side) => [side, `${side}`]), resize);
  const colours = segments("Colour", [["mean", "Mean"], ["black", "Black"], ["white", "White"], ["picked", "Picked"]], dip);
  const swatch = h("i", { class: "swatch", "aria-hidden": "true" }), paint = h("span", { class: "note", "aria-live": "polite" });
  const hint = h("p", { class: "note" }), line = h("p", { class: "line" }), spoken = h("p", { class: "unseen", "aria-live": "polite" });
  const sentence = h("p", { class: "sentence", "aria-live": "polite" }), reach = h("p", { class: "note" }), rounded = h("p", { class: "note" });
  const back = h("button", { type: "button", class: "quiet", onclick: () => put(original) }, "Back to the picture");
  const waiting = h("span", { class: "note" }), problem = h("p", { class: "problem", role: "alert" }), table = createTable(data);

  function hold(chosen) {
    tool = chosen;
    tools.set(tool);
    say(hint, HINTS[tool]);
    grid.paintWith(touch, `The ${data.width} by ${data.height} pixels that the model is given. ${HINTS[tool]}`);
  }
  function resize(side) {
    size = side;
    sizes.set(size);
  }
  /** Picked, before anything is: the other tool picks first. */
  function dip(chosen) {
    if (!palette[chosen]) return hold("pick");
    colour = chosen;
    colours.set(colour);
    swatch.style.background = `rgb(${palette[colour]})`;
    say(paint, inWords(palette[colour]));
    hold("brush");
  }

  /** A stroke goes on from cell to cell; a picked colour ends it. */
  function touch(cell, first) {
    if (!pixels || (!first && cell === last)) return;
    if (tool === "pick") {
      palette.picked = colourAt(pixels, cell);
      return dip("picked");
    }
    const cells = first ? [cell] : between(last, cell, data.width);
    last = cell;
    put(paintSquares(pixels, data, cells, size, palette[colour]));
  }
  function put(picture) {
    pixels = picture;
    failed = false;
    grid.showPixels(pixels);
    draw(store.state);
    look();
  }

  /** The pixel under the pointer or the keys. */
  function look() {
    const { token: cell } = cursor.state;
    grid.mark(cursor.state);
    clearTimeout(speaking);
    if (cell === null || !pixels) return say(line, "Point at a pixel to read it.");
    const seers = tokensAt(data, cell % data.width, Math.floor(cell / data.width)).length;
    say(line, `Pixel ${place(cell, data.width)}: ${inWords(colourAt(pixels, cell))}. In the windows of ${seers} of ${data.n} tokens.`);
    speaking = setTimeout(() => say(spoken, line.textContent), 300);
  }

  /** Asks for the picture itself, then for the latest painting, whatever that is by then. */
  async function work() {
    if (working || failed) return;
    working = true;
    try {
      if (!original) await open();
      for (let next; !lifetime.signal.aborted && (next = [original, pixels].find((one) => !answers.has(one)));) {
        answers.set(next, await inside.ask({ pixels: next }));
        answered = next;
        say(problem, "");
        show(store.state);
      }
    } catch (error) {
      if (error.name === "AbortError") { // another picture is under way; where this one stays, it goes on
        clearTimeout(again);
        again = setTimeout(work, AGAIN);
        return;
      }
      failed = true; // until the next stroke
      say(problem, `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
      say(waiting, "");
    } finally {
      working = false;
    }
  }
  async function open() {
    original = await readPixels(data.pixels);
    palette.mean = meanColour(original);
    dip(colour);
    put(original);
  }

  function show(state) {
    const isKnown = answers.has(pixels);
    if (isKnown) answered = pixels;
    const drawn = [pixels, answered, answers.has(original), state.a];
    if (drawn.every((value, i) => value === shown[i])) return;
    shown = drawn;
    say(waiting, isKnown ? "" : "The model answers…");
    const before = answers.has(original) ? data.probabilitiesOf(answers.get(original)) : data.probabilities;
    const now = answered ? data.probabilitiesOf(answers.get(answered)) : before, cells = answered ? differing(answered, original) : [];
    table.show(now, before, state.a);
    say(sentence, whatChanged(data, state.a, cells.length, before, now));
    say(reach, cells.length ? `${countSeers(data, cells)} of ${data.n} tokens have painted pixels in their windows.` : "");
    if (answers.has(original)) say(rounded, ofRounding(data, answers.get(original)));
    back.disabled = pixels === original;
  }

  function draw(state) {
    if (original) show(state);
    work();
  }

  hold("brush");
  resize(size);
  look();
  return {
    title: "Paint over: the whole model answers again",
    element: h("div", { class: "paint" },
      h("div", { class: "row" }, tools.element, h("div", { class: "field" }, h("span", {}, "Size"), sizes.element),
        h("div", { class: "field" }, h("span", {}, "Colour"), colours.element), h("div", { class: "field" }, swatch, paint)),
      hint, sentence,
      h("div", { class: "pair wide" },
        h("figure", {}, grid.element, h("figcaption", {}, h("b", {}, "What the model is given"), " each square is one pixel"), line),
        h("div", {}, table.element, h("div", { class: "row" }, back, waiting), reach)),
      problem, h("p", { class: "note" }, NOTE), rounded, spoken),
    draw,
  };
}

const inWords = ([red, green, blue]) => `red ${red}, green ${green}, blue ${blue}`;

/** "With 12 pixels painted over, deer falls from 59.0 % to 41.2 % and still wins." */
function whatChanged({ labels, exclusive }, a, count, before, now) {
  if (!count) return `Nothing is painted over: ${labels[a]} has ${percent(before[a])}.`;
  const from = percent(before[a]), to = percent(now[a]), won = argmax(before), wins = argmax(now);
  const moved = from === to ? `stays at ${to}` : `${now[a] > before[a] ? "rises" : "falls"} from ${from} to ${to}`;
  if (!exclusive) return `With ${plural(count, "pixel")} painted over, ${labels[a]} ${moved}.`;
  const winner = wins === a ? "" : `${labels[wins]} `;
  return `With ${plural(count, "pixel")} painted over, ${labels[a]} ${moved} and ${winner}${wins === won ? "still" : "now"} wins.`;
}

/** The best classes now, each with its probability before. */
function createTable({ labels }) {
  const body = h("tbody"), cell = () => h("td", { class: "value" });
  const heads = ["Class", "Probability", "Now", "Before"].map((text, i) => h("th", { scope: "col", class: i > 1 ? "value" : "", "aria-label": text }, i === 1 ? "" : text)); // the bars need no word
  return {
    element: h("div", {}, h("table", { class: "lab-table" }, h("caption", {}, "The best classes now"), h("thead", {}, h("tr", {}, heads)), body),
      h("p", { class: "key", "aria-hidden": "true" }, h("i", { class: "bar" }), "now", h("i", { class: "tick" }), "before")),
    show(now, before, a) {
      body.replaceChildren(...descending(now).slice(0, BEST).map((c) => {
        const values = [now, before].map((of) => { const made = cell(); tell(made, of[c], percent(of[c])); return made; });
        const bar = h("i", { class: "bar", style: `width: ${100 * now[c]}%` });
        const tick = h("i", { class: "tick", style: `left: ${100 * before[c]}%` });
        return h("tr", { class: c === a ? "explained" : "" }, h("th", { scope: "row", title: labels[c] }, labels[c]),
          h("td", { class: "drawing" }, h("span", { class: "chance", "aria-hidden": "true" }, bar, tick)), values);
      }));
    },
  };
}
