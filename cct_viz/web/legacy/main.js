// The explorer: one payload, one selection, and panels that follow it.

import { openPayload } from "./data.js";
import { createDerived, runnerUp, strengthsOf } from "./derive.js";
import { h, say } from "./dom.js";
import { keptOf } from "./fields.js";
import { createLink, fromHash, isAsked } from "./link.js";
import { NO_TOKEN } from "./grid.js";
import { createJourney } from "./journey.js";
import { createBanner } from "./laboratory_banner.js";
import { createLesson, firstLesson } from "./lesson.js";
import { argmax } from "./maths.js";
import { createPanel as createAttention } from "./panel_attention.js";
import { createPanel as createClasses } from "./panel_classes.js";
import { createPanel as createLaboratory } from "./panel_laboratory.js";
import { createPanel as createPaint } from "./panel_paint.js";
import { createPanel as createPixels } from "./panel_pixels.js";
import { createPanel as createRemoval } from "./panel_removal.js";
import { createPanel as createSeqPool } from "./panel_seqpool.js";
import { createPanel as createSource } from "./panel_source.js";
import { createPanel as createTokens } from "./panel_tokens.js";
import { createPhoto, overlaysOf } from "./photo.js";
import { changed, createStore } from "./store.js";
import { comparison, place, scientific, signed, times } from "./words.js";

export { createFetched } from "./fetched.js";
export { linkExplorers } from "./pair.js";

/**
 * What a panel is given.
 * @typedef {object} Explorer
 * @property {HTMLElement} host where it is drawn
 * @property {import("./data.js").Data} data
 * @property {ReturnType<typeof createStore>} store
 * @property {ReturnType<typeof createDerived>} derived
 * @property {string[]} overlays the maps that this model has for the photo
 * @property {(state: import("./store.js").State) => string} describe the chosen token in words
 * @property {() => {element: Element, show: (identity: string, error: number) => void}} badge
 * @property {Inside | null} inside
 * @property {string} awaited the address's choices, as long as the picture that they belong to has not come; else empty
 * @property {AbortController} lifetime ends with the next explorer in this host, or where the page takes the host away
 *
 * What a page has more that runs the model itself.
 * @typedef {object} Inside
 * @property {(change: {mask?: ArrayLike<number>, pixels?: ArrayLike<number>}) => Promise<Float32Array>} ask (K,) logits of
 *   this picture without the tokens that are 0 in the (N,) mask, or of other pixels (H, W, 3); rejects with an AbortError
 *   once another picture came
 * @property {Map<string, string> | null} sources the modules' own text by their names, where the page has it at hand
 */

/**
 * The panels, by the names that `State.station` takes. Each gives a title, an element, and `draw(state, before)`, which
 * is called while the panel is open; `before` is the state it last drew, or null.
 */
const PANELS = { pixels: createPixels, tokens: createTokens, attention: createAttention, seqpool: createSeqPool, classes: createClasses, laboratory: createLaboratory, removal: createRemoval, paint: createPaint, source: createSource };

/** Panels beside the journey: what one does with the network, not where one is in it. */
const TOOLS = [["laboratory", "Pooling laboratory"]];

/** Those that run the model in the page, and show what runs. */
const INSIDE_TOOLS = [["removal", "Remove tokens"], ["paint", "Paint over"], ["source", "The code"]];
const hasTool = (name, inside) => Boolean(name === "source" ? inside?.sources : inside);

const GOOD = 1e-3; // logits; float32 sums of a few hundred parts stay well below

/**
 * Draw an explorer inside `host`, in a shadow root, so that no style of the page around reaches it.
 * @param {HTMLElement} host @param {string | object} json @param {string} style the style sheet
 * @param {{alone?: boolean, inside?: Inside | null}} options alone: false for one of two side by side, which has no
 *   lesson and no link
 * @returns {Explorer}
 */
export function mount(host, json, style, { alone = true, inside = null } = {}) {
  const data = openPayload(json), missing = INSIDE_TOOLS.filter(([name]) => !hasTool(name, inside));
  const stations = Object.keys(PANELS).filter((name) => !missing.some(([tool]) => tool === name));
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const previous = host.explorer ?? null, asked = previous ? previous.awaited : alone ? location.hash : "";
  const isIt = isAsked(data.about, location.search), hash = !previous || isIt ? asked : "";
  const store = createStore(firstState(data, previous, hash, stations));
  const derived = createDerived(data);
  const lifetime = new AbortController(); // what listens beyond the host listens until another explorer takes its place
  const explorer = { host, data, store, derived, overlays: overlaysOf(data).map(([name]) => name), describe: (state) => describe({ data, derived }, state), badge: createBadge, inside, lifetime, awaited: isIt ? "" : asked };
  previous?.lifetime.abort();
  host.explorer = explorer;

  const photo = createPhoto(explorer), journey = createJourney(explorer), panels = new Map();
  const title = h("h2", { tabindex: "-1" }), body = h("div", { class: "body" });
  const spoken = h("p", { class: "unseen", "aria-live": "polite" });
  const banner = createBanner(explorer, () => title.focus());
  const link = createLink(explorer), lesson = createLesson(explorer);
  const tools = [...TOOLS, ...INSIDE_TOOLS].filter(([name]) => stations.includes(name)).map(([name, text]) => [name, h("button", { type: "button", onclick: () => store.set({ station: name }) }, text)]);
  root.replaceChildren(h("style", {}, style), h("div", { class: "explorer" },
    h("button", { type: "button", class: "skip", onclick: () => title.focus() }, "Skip to the open station"), journey.element, h("div", { class: "tools" }, alone ? lesson.button : null, tools.map(([, button]) => button), alone ? link.element : null, banner.element),
    alone ? lesson.element : null,
    h("div", { class: "columns" }, photo.element, h("section", { class: "card panel", "aria-label": "Station" }, title, body)), spoken));
  followTheme(root.lastElementChild, lifetime.signal);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.defaultPrevented) store.set(NO_TOKEN); }, { signal: lifetime.signal });

  let open = null, speaking = 0;
  store.follow((state, before) => {
    journey.draw(state, before);
    photo.draw(state, before);
    banner.draw(state);
    lesson.draw(state, before);
    const first = !panels.has(state.station);
    if (first) panels.set(state.station, { panel: PANELS[state.station](explorer), drawn: null });
    const entry = panels.get(state.station);
    if (open !== entry) { body.replaceChildren(entry.panel.element); open = entry; }
    say(title, typeof entry.panel.title === "function" ? entry.panel.title(state) : entry.panel.title);
    for (const [name, button] of tools) button.setAttribute("aria-pressed", String(name === state.station));
    entry.panel.draw(state, entry.drawn);
    entry.drawn = state;
    if (changed(state, before, "token") && state.token !== null) {
      clearTimeout(speaking);
      speaking = setTimeout(() => say(spoken, describe({ data, derived }, store.state)), 300);
    }
  });
  store.flush();
  return explorer;
}

/** Where a new picture opens: where the address says, else where the reader was, at the class that the model chose. */
function firstState(data, previous, hash, stations) {
  const a = argmax(data.logits), fresh = {
    station: "seqpool", token: null, held: null, pinned: [], layer: data.layers - 1, head: null, a, b: data.exclusive ? runnerUp(data.logits, a) : null,
    overlay: data.weights || data.maxContributions ? "contribution" : "rollout", opacity: 0.7, fusion: "mean", alpha: 0.5, step: data.layers,
    pooling: "model", beta: 1, seed: 0, painted: null, dropped: new Set(), removed: new Set(),
    feature: { stage: data.stages.length - 1, channel: argmax(strengthsOf(data.stages.at(-1))) }, channelOrder: "strength", commonScale: false,
    attentionView: "raw", direction: "row", path: 0, touched: null, lesson: firstLesson(data, previous, hash),
  };
  const named = fromHash(hash, data, { stations, overlays: overlaysOf(data).map(([name]) => name) });
  if (!previous) return { ...fresh, ...named };
  const { state } = previous.store, old = previous.data;
  const same = old.layers === data.layers && old.heads === data.heads && old.pool === data.pool && old.n === data.n;
  return { ...fresh, ...(same ? keptOf(state) : { station: state.station }), ...named };
}

/** "Token row 6, column 4: weight 4.25× uniform · evidence +2.62 · contribution +0.174 logits for cat over dog · sees rows 17–29, columns 9–21". */
function describe({ data, derived }, state) {
  if (state.token === null) return "Point at a token, touch it, or press an arrow key on a map.";
  const t = state.token, { y0, x0, y1, x1 } = data.window(t), parts = [];
  const weights = derived.weights(state), contribution = derived.contribution(state);
  if (weights) parts.push(`weight ${times(weights[t], data.n)}`);
  parts.push(`evidence ${signed(derived.evidence(state)[t])}`);
  if (contribution) parts.push(`contribution ${signed(contribution[t], 3)}`);
  const asked = `logits for ${comparison(data, state)}`;
  return `Token ${place(t, data.columns)}: ${parts.join(" · ")} ${asked} · sees rows ${y0 + 1}–${y1}, columns ${x0 + 1}–${x1}`;
}

/** An identity with its error on this very picture. */
function createBadge() {
  const element = h("span", { class: "badge" });
  return {
    element,
    show(identity, error) {
      element.classList.toggle("bad", !(error < GOOD));
      say(element, `${error < GOOD ? "✓" : "!"} ${identity}, error ${scientific(error)}`);
    },
  };
}

/** Gradio marks dark mode on the body; a page of its own follows the system. */
function followTheme(element, signal) {
  const read = () => {
    const gradio = document.querySelector(".gradio-container") !== null;
    const dark = gradio ? document.body.classList.contains("dark") : matchMedia("(prefers-color-scheme: dark)").matches;
    element.dataset.theme = dark ? "dark" : "light";
  };
  read();
  const observer = new MutationObserver(read);
  observer.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", read, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
}
