// Attention: raw, rolled out, and the rollout taken apart.

import { h, segments } from "./dom.js";
import { createPaths } from "./attention_paths.js";
import { createRaw } from "./attention_raw.js";
import { createRollout } from "./attention_rollout.js";

const VIEWS = { raw: ["Raw", createRaw], rollout: ["Rollout", createRollout], paths: ["Paths", createPaths] };

/** @param {import("./main.js").Explorer} explorer */
export function createPanel(explorer) {
  const { store } = explorer, made = new Map(), body = h("div");
  const open = (name) => store.set({ attentionView: name, ...overlayFor(name, store.state) });
  const views = segments("What of attention", Object.entries(VIEWS).map(([name, [text]]) => [name, text]), open);
  const view = ({ attentionView: name }) => {
    if (!made.has(name)) made.set(name, VIEWS[name][1](explorer));
    return made.get(name);
  };
  return {
    title: (state) => view(state).title,
    element: h("div", { class: "attention" }, h("div", { class: "row" }, views.element), body),
    draw(state, before) {
      views.set(state.attentionView);
      const now = view(state);
      if (body.firstChild !== now.element) body.replaceChildren(now.element);
      now.draw(state, before);
    },
  };
}

/** Whoever has a map of attention over the photo keeps one that fits; any other map stays. */
function overlayFor(view, { overlay }) {
  if (view === "raw" && overlay === "rollout") return { overlay: "attention" };
  return view !== "raw" && overlay === "attention" ? { overlay: "rollout" } : {};
}
