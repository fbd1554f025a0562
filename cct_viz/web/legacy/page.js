// A page of its own: the pictures that it holds in a row, and one explorer that shows the chosen one.

import { h } from "./dom.js";
import { mount } from "./main.js";

/** What the page carries, by the id of the element that holds it. */
export const carried = (id) => JSON.parse(document.getElementById(id).textContent);

/** The picture that the address asks for, where the page has it; else its first. @param {Map<string, any>} pictures */
export function firstOf(pictures) {
  const name = new URLSearchParams(location.hash.slice(1)).get("picture");
  return pictures.has(name) ? name : [...pictures.keys()][0];
}

/**
 * The pictures as a row of buttons, left out where there is but one.
 * @param {(key: string | symbol) => void} choose
 */
export function createRow(choose) {
  const nav = document.getElementById("pictures"), buttons = new Map();
  return {
    /** Add a picture, or put it in the place of the one with this key. */
    put(key, name, address) {
      const image = h("img", { src: address, alt: "" });
      const button = h("button", { type: "button", "aria-label": name, title: name, "aria-pressed": "false", onclick: () => choose(key) }, image);
      if (buttons.has(key)) buttons.get(key).replaceWith(button);
      else nav.append(button);
      buttons.set(key, button);
      nav.hidden = buttons.size < 2;
    },
    /** Mark the one that is shown. */
    press(key) {
      for (const [other, button] of buttons) button.setAttribute("aria-pressed", String(other === key));
    },
  };
}

/** Fill the page. @param {{style: string}} loaded */
export function openPage({ style }) {
  const pictures = new Map(carried("payloads")), host = document.getElementById("explorer"), row = createRow(show);
  function show(name) {
    mount(host, pictures.get(name), style);
    row.press(name);
  }
  for (const [name, payload] of pictures) row.put(name, name, payload.pixels);
  show(firstOf(pictures));
}
