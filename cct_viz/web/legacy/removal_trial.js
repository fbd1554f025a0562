// Does the map point at what the model needs? Its tokens away, or back, in its order, beside orders drawn at random.

import { h, say } from "./dom.js";
import { chosenMap, overlaysOf } from "./photo.js";
import { alongOrder, areaUnder, judge, percentile, quantile, randomOrders, rank, spreadSteps } from "./removal.js";
import { createCurve } from "./removal_curves.js";
import { comparison, signed } from "./words.js";

const POINTS = 16, ORDERS = 20, SEED = 0, BAND = 0.9; // steps of a curve, random orders, and how many of them the band holds
const RANKING = ["weight", "contribution", "evidence", "rollout"]; // maps with one value a token, whatever is pointed at
const WHICH = ["deletion", "insertion"];

/**
 * @param {import("./main.js").Explorer} explorer
 * @param {ReturnType<typeof import("./removal.js").createAnswers>} answers
 */
export function createTrial(explorer, answers) {
  const { data } = explorer, steps = spreadSteps(data.n, POINTS);
  const plan = (order) => Object.fromEntries(WHICH.map((which) => [which, alongOrder(order, steps, which)]));
  const random = randomOrders(data.n, ORDERS, SEED).map(plan), randomStates = random.flatMap((one) => [...one.deletion, ...one.insertion]);
  const curves = Object.fromEntries(WHICH.map((which) => [which, createCurve(which, data.n)]));
  const order = h("p", { class: "note" }), sentence = h("p", { class: "sentence" });
  let values = null, mine = null, drawn = [];

  /** The map whose order is tried: the one over the photo, where it ranks tokens. */
  function mapOf(state) {
    const overlay = RANKING.includes(state.overlay) ? state.overlay : overlaysOf(data).some(([name]) => name === "contribution") ? "contribution" : "rollout";
    return { overlay, ...chosenMap(explorer, { ...state, overlay }) };
  }
  function planOf(state) {
    const map = mapOf(state);
    if (map.values !== values) [values, mine] = [map.values, plan(rank(map.values, SEED))];
    return mine;
  }

  /** The class's probability along a curve, as far as it is known without a gap. */
  function curveOf(planned, state) {
    const curve = [];
    for (const left of planned) {
      const logits = answers.of(left);
      if (!logits) break;
      curve.push(data.probabilitiesOf(logits)[state.a]);
    }
    return curve;
  }
  const isWhole = (curve) => curve.length === steps.length;
  const gain = (both) => areaUnder(steps, both.insertion) - areaUnder(steps, both.deletion);
  const both = (planned, state) => Object.fromEntries(WHICH.map((which) => [which, curveOf(planned[which], state)]));

  /** What has been measured for the shown map and class: curves of probabilities, and how they compare. */
  function measured(state) {
    const own = both(planOf(state), state);
    const others = random.map((planned) => both(planned, state)).filter(({ deletion, insertion }) => isWhole(deletion) && isWhole(insertion));
    const edge = (which, share) => steps.map((_, i) => quantile(others.map((one) => one[which][i]), share));
    const band = (which) => (others.length > 1 ? [edge(which, (1 - BAND) / 2), edge(which, (1 + BAND) / 2)] : null);
    const done = WHICH.every((which) => isWhole(own[which]));
    return {
      steps, own, others, bands: Object.fromEntries(WHICH.map((which) => [which, band(which)])),
      srg: done ? gain(own) : null, better: done && others.length ? percentile(gain(own), others.map(gain)) : null,
    };
  }

  return {
    element: h("section", { class: "trial", "aria-label": "Deletion and insertion" },
      h("h3", {}, "Does the map point at what the model needs?"), order, sentence,
      h("div", { class: "pair wide" }, WHICH.map((which) => curves[which].element))),
    wanted(state) {
      const { deletion, insertion } = planOf(state);
      return [...deletion, ...insertion, ...randomStates];
    },
    draw(state) {
      const { overlay, values: ranked, signed: isSigned } = mapOf(state), label = data.labels[state.a];
      const now = [answers.size, ranked, state.a, state.b, state.overlay];
      if (now.every((value, i) => value === drawn[i])) return;
      drawn = now;
      const found = measured(state);
      const over = isSigned ? `, ${comparison(data, state)}` : "";
      const name = `${overlaysOf(data).find(([one]) => one === overlay)[1]}${over}`;
      const whose = state.overlay === overlay ? "The order is that of the map over the photo:" : "The map over the photo ranks no tokens; the order is that of";
      say(order, `${whose} ${name}, largest first. Grey: where ${100 * BAND} % of ${ORDERS} orders drawn at random run.`);
      say(sentence, inWords(found));
      for (const which of WHICH) curves[which].show(label, steps, found.own[which], found.bands[which]);
    },
  };
}

function inWords({ srg, better, others }) {
  if (srg === null) return "If the model needs these tokens, its answer falls faster without them than without tokens drawn at random.";
  const gain = `Insertion less deletion is ${signed(srg, 3)}; chance gives 0.`;
  if (others.length < ORDERS) return `${gain} ${others.length} of ${ORDERS} random orders are measured.`;
  return `${gain} ${Math.round(100 * better)} % of ${ORDERS} random orders do worse. ${judge(better)}`;
}
