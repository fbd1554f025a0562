// Tokens removed: those that never reach the encoder. The whole model answers again for each set, here in the page.

import { SIGNED } from "./colour.js";
import { h, say } from "./dom.js";
import { createCrosses, withTokens } from "./laboratory_brush.js";
import { argmax, pool } from "./maths.js";
import { createMap } from "./named_map.js";
import { createBars } from "./photo.js";
import { createPickers } from "./pickers.js";
import { weigh } from "./pooling.js";
import { AGAIN, createAnswers, keepLast, without } from "./removal.js";
import { createTrial } from "./removal_trial.js";
import { comparison, ofRounding, percent, place, plural, signed } from "./words.js";

const NOTE = "A removed token never reaches the encoder: no token attends to it, and it is not pooled. That cannot take back " +
  "what its window shares with its neighbours' windows.";
const HINT = "Click a token, or press Enter on it, to remove it; do it again to bring it back.";
const AT_ONCE = 512; // tokens times layers of a model that is quick enough to measure without being asked

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { data, derived, store, lifetime } = explorer, answers = createAnswers((mask) => explorer.inside.ask({ mask }));
  const whole = without(data.n, []), alone = Array.from(whole, (_, t) => without(data.n, [t])), chosen = ({ removed }) => without(data.n, removed);
  let measures = data.n * data.layers <= AT_ONCE, working = false, failed = false, again = 0;

  const pickers = createPickers(explorer), trial = createTrial(explorer, answers), crosses = createCrosses(data);
  const fall = createMap(explorer, { title: "Fall", words: "of the score when this one token is removed, in logits", values: falls, colours: SIGNED });
  const bars = createBars(data, probabilitiesOf);
  const sentence = h("p", { class: "sentence", "aria-live": "polite" }), line = h("p", { class: "line" }), rounded = h("p", { class: "note" });
  const all = h("button", { type: "button", class: "quiet", onclick: () => store.set({ removed: new Set() }) }, "Bring all back");
  const bar = h("progress", { "aria-label": "Measured" }), count = h("span", { class: "note" });
  const toggle = h("button", { type: "button", class: "quiet", onclick: startOrStop });
  const problem = h("p", { class: "problem", role: "alert" });
  const grid = fall.grid.element;
  let before = null;
  grid.append(crosses.element);
  grid.setAttribute("aria-label", `Fall of the score without each token. ${HINT}`);
  for (const kind of ["click", "keydown"]) {
    grid.addEventListener(kind, () => { before = store.state.touched; }, { capture: true });
    grid.addEventListener(kind, removeTouched);
  }

  /** After the map's own listener: a click, a tap or Enter has touched a token, other keys have not. */
  function removeTouched() {
    const { touched, removed } = store.state;
    if (touched !== before) store.set({ removed: withTokens(removed, [touched.token], !removed.has(touched.token)) });
  }
  function startOrStop() {
    measures = !measures || failed;
    failed = false;
    say(problem, "");
    draw(store.state);
  }
  /** What one token's removal takes from class a over class b; undefined while that is not known. */
  function fallOf(token, state) {
    const before = answers.of(whole), after = answers.of(alone[token]);
    return before && after && derived.over(before, state) - derived.over(after, state);
  }
  const makeFalls = keepLast((_, a, b) => Float64Array.from(alone, (_, t) => fallOf(t, { a, b }) ?? 0));
  /** (N,), 0 where it is not known yet. */
  function falls({ a, b }) {
    return makeFalls(answers.size, a, b);
  }
  const makeProbabilities = keepLast((logits) => (logits ? data.probabilitiesOf(logits) : data.probabilities));
  /** (K,) without the removed tokens, as far as it is known: else those of the picture. */
  function probabilitiesOf(state) {
    return makeProbabilities(answers.of(chosen(state)));
  }

  /** What the model is to be asked, the most urgent first. */
  const wanted = (state) => [...new Set([whole, chosen(state), ...(measures ? [...alone, ...trial.wanted(state)] : [])])];

  /** Asks for one answer after another, whatever is wanted by then. */
  async function work() {
    if (working || failed) return;
    working = true;
    try {
      for (let left; !lifetime.signal.aborted && (left = wanted(store.state).find((one) => !answers.of(one)));) {
        await answers.find(left);
        draw(store.state);
      }
    } catch (error) {
      if (error.name === "AbortError") { // another picture is under way; where this one stays, it goes on
        clearTimeout(again);
        again = setTimeout(work, AGAIN);
        return;
      }
      failed = true;
      say(problem, `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
      drawProgress(store.state);
    } finally {
      working = false;
    }
  }

  function drawProgress(state) {
    const asked = wanted(state), done = asked.filter((left) => answers.of(left)).length, runs = measures && !failed;
    [bar.max, bar.value] = [asked.length, done];
    bar.hidden = !runs || done === asked.length;
    say(count, !runs ? "" : bar.hidden ? `Measured by ${done} answers of the model.` : `${done} of ${asked.length} answers of the model`);
    say(toggle, runs ? "Stop" : "Measure");
    toggle.hidden = runs && bar.hidden;
  }

  function draw(state) {
    pickers.draw(state);
    fall.draw(state);
    crosses.draw(state.removed);
    bars.draw(state);
    all.disabled = !state.removed.size;
    say(sentence, whatChanged(explorer, state, answers.of(chosen(state)) && probabilitiesOf(state)));
    say(line, ofToken(explorer, state, state.token === null ? undefined : fallOf(state.token, state)));
    if (answers.of(whole)) say(rounded, ofRounding(data, answers.of(whole)));
    trial.draw(state);
    drawProgress(state);
    work();
  }

  return {
    title: "Remove tokens: the whole model answers again",
    element: h("div", { class: "removal" }, pickers.element, sentence,
      h("div", { class: "pair wide" }, fall.element,
        h("div", {}, h("h3", {}, "Without the removed tokens"), bars.element, h("div", { class: "row" }, all), line)),
      h("p", { class: "note" }, `${HINT} ${NOTE}`), trial.element, h("div", { class: "row" }, bar, count, toggle), problem, rounded),
    draw,
  };
}

/** "Without 3 tokens deer falls from 59.0 % to 31.2 %, and bird wins. Left out of the pool alone, they would leave deer 40.1 %." */
function whatChanged({ data }, state, now) {
  const { a, removed } = state, label = (c) => data.labels[c];
  if (!removed.size) return `All tokens are there: ${label(a)} has ${percent(data.probabilities[a])}.`;
  if (!now) return "The model answers…";
  const from = percent(data.probabilities[a]), to = percent(now[a]), wins = argmax(now);
  const moved = from === to ? `stays at ${to}` : `${now[a] > data.probabilities[a] ? "rises" : "falls"} from ${from} to ${to}`;
  const answer = `Without ${plural(removed.size, "token")} ${label(a)} ${moved}${!data.exclusive || wins === argmax(data.logits) ? "" : `, and ${label(wins)} wins`}.`;
  const weights = weigh(data, { ...state, pooling: "model", dropped: removed });
  if (!weights) return answer;
  const pooled = data.probabilitiesOf(pool(weights, data.evidence, data.bias));
  return `${answer} Only left out of the pool, after all others have seen ${removed.size === 1 ? "it" : "them"}: ${percent(pooled[a])}.`;
}

function ofToken({ data }, state, fall) {
  const { token } = state;
  if (token === null) return "Point at a token to read what its removal takes.";
  const score = comparison(data, state);
  return `Token ${place(token, data.columns)}: ${fall === undefined ? "not measured yet" : `without it ${score} changes by ${signed(-fall, 3)} logits`}.`;
}
