// Elements, always made from values: no text of a user, file or model is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** h("button", {class: "quiet", onclick: f}, "Text", child) */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Set a text only where it changed, so that screen readers do not hear it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function canvas(width, height, attributes = {}) {
  return h("canvas", { width, height, ...attributes });
}

let count = 0;
/** A new id, for labels. */
export const fresh = (prefix) => `${prefix}-${++count}`;

/** A labelled select. @param {(index: number) => void} choose */
export function select(label, options, value, choose) {
  const box = h("select", { onchange: () => choose(Number(box.value)) },
    options.map(([number, text]) => h("option", { value: number, selected: number === value }, text)));
  return { element: h("label", { class: "field" }, h("span", {}, label), box), set: (v) => { if (box.value !== String(v)) box.value = v; } };
}

/** A labelled slider with its value in words beside it. */
export function slider(label, { min, max, step, value }, words, change) {
  const id = fresh("slider"), shown = h("output", { for: id }, words(value));
  const input = h("input", { id, type: "range", min, max, step, value, "aria-valuetext": words(value), oninput: () => change(Number(input.value)) });
  return {
    element: h("div", { class: "field slider" }, h("label", { for: id }, label), input, shown),
    set: (v) => {
      if (Number(input.value) !== v) input.value = v;
      say(shown, words(v));
      input.setAttribute("aria-valuetext", words(v));
    },
  };
}

/** Whether a key is the browser's: Ctrl+P prints. */
export const hasModifier = (event) => event.ctrlKey || event.metaKey || event.altKey;

/** A row of buttons of which one is pressed: one stop for Tab, arrow keys go on from there. @param {[any, string][]} options */
export function segments(label, options, choose) {
  const buttons = options.map(([value, text]) => h("button", { type: "button", "aria-pressed": "false", onclick: () => choose(value) }, text));
  const stopAt = (stop) => buttons.forEach((button, i) => { button.tabIndex = i === stop ? 0 : -1; });
  let pressed = null;

  function keys(event) {
    const at = buttons.indexOf(event.target), last = buttons.length - 1;
    const to = { ArrowLeft: at ? at - 1 : last, ArrowRight: at < last ? at + 1 : 0, Home: 0, End: last }[event.key];
    if (to === undefined || hasModifier(event)) return;
    stopAt(to);
    buttons[to].focus();
    event.preventDefault();
  }

  stopAt(0);
  return {
    element: h("div", { class: "segments", role: "toolbar", "aria-label": label, onkeydown: keys }, buttons),
    set(value) {
      if (value === pressed) return;
      pressed = value;
      buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(options[i][0] === value)));
      stopAt(Math.max(0, options.findIndex(([option]) => option === value)));
    },
  };
}
