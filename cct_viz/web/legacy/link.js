// The visitor's choices as the end of an address, and back: a link that opens the explorer where it was copied.

import { h, say } from "./dom.js";
import { FIELDS } from "./fields.js";

/** "station=seqpool&token=36&..." @param {import("./store.js").State} state */
function toHash(state) {
  const words = new URLSearchParams();
  for (const [name, { read, write = (value) => `${value ?? ""}` }] of Object.entries(FIELDS)) {
    const text = read ? write(state[name]) : "";
    if (text) words.set(name, text);
  }
  return words.toString();
}

/**
 * The part of a state that an address names. What is not there or makes no sense for this model is left out.
 * @param {string} hash @param {import("./data.js").Data} data @param {{stations: string[], overlays: string[]}} known
 */
export function fromHash(hash, data, known) {
  const words = new URLSearchParams(hash.replace(/^#/, "")), patch = {};
  for (const [name, { read }] of Object.entries(FIELDS)) {
    const value = read && words.has(name) ? read(words.get(name), data, known) : undefined;
    if (value !== undefined) patch[name] = value;
  }
  if (patch.token !== undefined) patch.held = patch.token;
  return patch;
}

/** The model that the end of the address names, where a page that holds several wrote it; else null. */
export const askedModel = () => new URLSearchParams(location.hash.slice(1)).get("model");

/**
 * Whether a payload is of the picture and the model that the address asks for. The app shows an example until that one
 * has come; a page that holds its pictures itself shows its first model until the other one has answered.
 * @param {{link: string | null, model: string}} about @param {string} search the address's query
 */
export function isAsked({ link, model }, search) {
  if (link === null && (askedModel() ?? model) !== model) return false;
  const asked = new URLSearchParams(search), shown = new URLSearchParams(link ?? search);
  return ["model", "example", "pixels"].every((name) => !asked.has(name) || asked.get(name) === shown.get(name));
}

/** A button that copies a link to what is shown now. @param {import("./main.js").Explorer} explorer */
export function createLink({ data, store }) {
  const told = h("span", { class: "line", role: "status" });
  const button = h("button", { type: "button", onclick: copy }, "Copy link");

  async function copy() {
    const address = new URL(location.href), { link, picture, model } = data.about;
    if (link !== null) address.search = link;
    address.hash = `${toHash(store.state)}&${new URLSearchParams(link === null ? { picture, model } : { picture })}`;
    const missing = link === "" ? " It does not hold your picture." : "";
    try {
      await navigator.clipboard.writeText(address.href);
      say(told, `The link is copied.${missing}`);
    } catch {
      say(told, address.href); // no right to the clipboard: there it stands, to be copied by hand
    }
  }

  return { element: h("span", { class: "row link" }, button, told) };
}
