// Which class is explained, and against which.

import { h, select } from "./dom.js";

/** @param {import("./main.js").Explorer} explorer */
export function createPickers({ data, store }) {
  const classes = data.labels.map((label, i) => [i, label]);
  const a = select("Explain", classes, store.state.a, (value) => store.set(value === store.state.b ? { a: value, b: store.state.a } : { a: value }));
  const b = select("against", [[-1, data.exclusive ? "the mean class" : "no other class"], ...classes], store.state.b ?? -1,
    (value) => store.set(value === store.state.a ? { b: store.state.a, a: store.state.b ?? store.state.a } : { b: value < 0 ? null : value }));
  return {
    element: h("div", { class: "row" }, a.element, data.k > 1 ? b.element : null),
    draw(state) {
      a.set(state.a);
      b.set(state.b ?? -1);
    },
  };
}
