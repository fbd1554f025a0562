// The visitor's choices as the end of an address, and back: a link that opens the explorer where it was copied.

import { h, say } from "./dom.js";

/** What a link carries, with how to read it: a field of the state -> the value, or undefined where it makes no sense. */
const FIELDS = {
  station: (text) => text,
  token: (text, { n }) => whole(text, n),
  layer: (text, { layers }) => whole(text, layers),
  head: (text, { heads }) => whole(text, heads),
  a: (text, { k }) => whole(text, k),
  b: (text, { k }) => (text === "mean" ? null : whole(text, k)),
  overlay: (text) => text,
  step: (text, { layers }) => whole(text, layers + 1),
};

function whole(text, count) {
  const value = Number(text);
  return Number.isInteger(value) && value >= 0 && value < count && text !== "" ? value : undefined;
}

/** "station=seqpool&token=36&..." @param {import("./store.js").State} state */
export function toHash(state) {
  const words = new URLSearchParams();
  for (const name of Object.keys(FIELDS)) {
    if (state[name] !== null) words.set(name, state[name]);
    else if (name === "b") words.set(name, "mean");
  }
  return words.toString();
}

/**
 * The part of a state that an address names. What is not there or makes no sense for this model is left out.
 * @param {string} hash @param {import("./data.js").Data} data @param {{stations: string[], overlays: string[]}} known
 */
export function fromHash(hash, data, { stations, overlays }) {
  const words = new URLSearchParams(hash.replace(/^#/, "")), patch = {};
  for (const [name, read] of Object.entries(FIELDS)) {
    if (!words.has(name)) continue;
    const value = read(words.get(name), data);
    if (value === undefined || (name === "station" && !stations.includes(value)) || (name === "overlay" && !overlays.includes(value))) continue;
    patch[name] = value;
  }
  if (patch.token !== undefined) patch.held = patch.token;
  return patch;
}

/** A button that copies a link to what is shown now. @param {import("./main.js").Explorer} explorer */
export function createLink({ data, store }) {
  const told = h("span", { class: "line", role: "status" });
  const button = h("button", { type: "button", onclick: copy }, "Copy link");

  async function copy() {
    const address = new URL(location.href), { link, picture } = data.about;
    if (link !== null) address.search = link;
    address.hash = `${toHash(store.state)}&${new URLSearchParams({ picture })}`;
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
