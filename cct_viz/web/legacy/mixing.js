// The choices that rollout and its paths share: how heads are fused, and how much of a step is attention.

import { h, segments, slider } from "./dom.js";
import { mean } from "./maths.js";

export const FUSIONS = [["mean", "Mean"], ["max", "Max"], ["min", "Min"]];

/** (L,) the share of attention at each layer as measured on this picture, the mean over the tokens. */
const measuredShares = (data) => Array.from({ length: data.layers }, (_, layer) => mean(data.measuredAlpha(layer)));

/** @param {import("./main.js").Explorer} explorer */
export function createFusion({ store }) {
  const choice = segments("How heads are fused", FUSIONS, (fusion) => store.set({ fusion }));
  return { element: h("div", { class: "field" }, h("span", { "aria-hidden": "true" }, "Heads fused by"), choice.element), set: choice.set };
}

/** Share of attention against the residual connection: one number, or as measured on this picture. */
export function createAlpha({ data, store }) {
  const measured = Math.round(100 * mean(measuredShares(data))) / 100;
  const words = (v) => (store.state.alpha === "measured" ? `about ${v.toFixed(2)}` : v.toFixed(2));
  const bar = slider("Alpha", { min: 0, max: 1, step: 0.01, value: 0.5 }, words, (alpha) => store.set({ alpha }));
  const button = h("button", { type: "button", onclick: () => store.set({ alpha: store.state.alpha === "measured" ? 0.5 : "measured" }) }, "As measured");
  return {
    element: h("div", { class: "row alpha" }, bar.element, button),
    set(alpha) {
      bar.set(alpha === "measured" ? measured : alpha);
      button.setAttribute("aria-pressed", String(alpha === "measured"));
    },
  };
}

/** What alpha means. @param {import("./data.js").Data} data */
export function alphaInWords(data, alpha) {
  if (alpha !== "measured") {
    const part = `${Math.round(100 * alpha)} %`;
    return `Alpha ${alpha.toFixed(2)}: at every layer ${part} of a token comes through attention; the rest is the token itself, handed past it.`;
  }
  const shares = measuredShares(data);
  const each = shares.length <= 4 ? shares.map((share, i) => `layer ${i + 1} ${share.toFixed(2)}`).join(", ")
    : `${Math.min(...shares).toFixed(2)} to ${Math.max(...shares).toFixed(2)} over the layers`;
  return `Alpha as measured on this picture, for each token: the length of what attention adds over that and the length of what it adds to. Means: ${each}.`;
}
