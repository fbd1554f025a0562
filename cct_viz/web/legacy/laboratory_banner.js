// The line that says everywhere that the answers are the pooling laboratory's and not the model's.

import { h, say } from "./dom.js";
import { nameOf } from "./laboratory_words.js";
import { backToModel } from "./pooling.js";

/**
 * @param {import("./main.js").Explorer} explorer
 * @param {() => void} left called when the reader has gone back to the model, for the button is gone then
 */
export function createBanner({ data, store, derived }, left) {
  const name = h("b"), words = h("span");
  const back = h("button", { type: "button", onclick: () => { store.set(backToModel()); left(); } }, "Back to the model");
  const element = h("div", { class: "banner", role: "note" }, h("p", {}, name, " ", words), back);
  return {
    element,
    draw(state) {
      const model = derived.isModel(state);
      element.hidden = !data.weights || (model && state.station !== "laboratory"); // in the laboratory it keeps its place, or maps would jump
      element.classList.toggle("quiet", model);
      back.hidden = model;
      say(name, `Pooling laboratory: ${nameOf(data, state)}.`);
      say(words, model ? "These are the model's own answers." : "These are not the model's own answers.");
    },
  };
}
