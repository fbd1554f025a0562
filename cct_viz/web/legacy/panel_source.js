// The code that computes: the forward pass as it runs in this page, to be read.

import { h, say, segments } from "./dom.js";

const FILES = [["model.js", "Forward pass"], ["tokenizer.js", "Tokenizer"], ["kernels.js", "Arithmetic"]];

/** @param {import("./main.js").Explorer} explorer */
export function createPanel({ inside: { sources } }) {
  const text = h("code"), lines = h("p", { class: "note", role: "status" });
  const files = segments("File", FILES, open);

  function open(name) {
    const source = sources.get(name);
    files.set(name);
    say(text, source);
    say(lines, `${name}, ${source.trimEnd().split("\n").length} lines: the very text that runs in this page when it names a photo.`);
  }

  open(FILES[0][0]);
  return {
    title: "The code, as it runs in this page",
    element: h("div", {}, h("div", { class: "scroll" }, files.element), lines,
      h("pre", { class: "source", tabindex: "0", role: "region", "aria-label": "Source" }, text)),
    draw() {},
  };
}
