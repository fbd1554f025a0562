// The fields of the state that reach beyond one explorer: kept over pictures, shared by a pair, named in an address.

import { poolingOf } from "./pooling.js";

/**
 * @typedef {object} Field
 * @property {((value: any) => boolean)=} kept whether the next picture of such a model opens with it; absent: never
 * @property {((one: import("./data.js").Data, other: import("./data.js").Data) => boolean)=} shared whether two explorers
 *   side by side follow each other in it; absent: never
 * @property {((text: string, data: import("./data.js").Data, known: {stations: string[], overlays: string[]}) => any)=} read
 *   its value in an address, undefined where that makes no sense for this model; absent: no address has it
 * @property {((value: any) => string)=} write its text in an address, empty where it is left out; absent: the value itself
 */

const always = () => true;
const sameGrid = (one, other) => one.rows === other.rows && one.columns === other.columns;
const sameLayers = (one, other) => one.layers === other.layers;
const sameClasses = (one, other) => one.k === other.k && one.labels.every((label, i) => label === other.labels[i]);

const oneOf = (...values) => (text) => (values.includes(text) ? text : undefined);
const among = (list) => (text, data, known) => (known[list].includes(text) ? text : undefined);
function between(text, low, high) {
  const value = Number(text);
  return text !== "" && value >= low && value <= high ? value : undefined;
}
function whole(text, count) {
  const value = between(text, 0, count - 1);
  return Number.isInteger(value) ? value : undefined;
}

/** Pooling by name, where this model has it. Painted weights travel nowhere: an address would be too long for them. */
function pooling(text, data) {
  const named = oneOf("model", "beta", "mean", "top", "shuffled", "prior")(text);
  return named && poolingOf(data, { pooling: named, beta: 0 }) === named ? named : undefined;
}

function feature(text, { stages }) {
  const [stage, channel] = text.split("."), at = whole(stage, stages.length), of = at !== undefined && whole(channel ?? "", stages[at].channels);
  return Number.isInteger(of) ? { stage: at, channel: of } : undefined;
}

function pins(text, { n }) {
  const tokens = text.split(".").map((token) => whole(token, n));
  return tokens.length <= 2 && !tokens.includes(undefined) ? tokens : undefined;
}

/** @type {Object<string, Field>} */
export const FIELDS = {
  station: { kept: always, shared: always, read: among("stations") },
  token: { kept: always, shared: sameGrid, read: (text, { n }) => whole(text, n) },
  held: { kept: always, shared: sameGrid },
  pinned: { read: pins, write: (tokens) => tokens.join(".") },
  layer: { kept: always, shared: sameLayers, read: (text, { layers }) => whole(text, layers) },
  head: { kept: always, shared: (one, other) => one.heads === other.heads, read: (text, { heads }) => whole(text, heads) },
  a: { shared: sameClasses, read: (text, { k }) => whole(text, k) },
  b: { shared: sameClasses, read: (text, { k }) => (text === "mean" ? null : whole(text, k)), write: (b) => (b === null ? "mean" : `${b}`) },
  overlay: { kept: always, shared: always, read: among("overlays") },
  opacity: { kept: always, shared: always },
  attentionView: { kept: always, shared: always, read: oneOf("raw", "rollout", "paths") },
  direction: { kept: always, shared: always },
  fusion: { kept: always, shared: always, read: oneOf("mean", "max", "min") },
  alpha: { kept: always, shared: always, read: (text) => (text === "measured" ? text : between(text, 0, 1)) },
  step: { kept: always, shared: sameLayers, read: (text, { layers }) => whole(text, layers + 1) },
  feature: { read: feature, write: ({ stage, channel }) => `${stage}.${channel}` },
  channelOrder: { kept: always },
  commonScale: { kept: always },
  pooling: { kept: (name) => name !== "painted", read: pooling, write: (name) => (name === "painted" ? "model" : name) },
  beta: { kept: always, read: (text) => between(text, 0, 8) },
  seed: { kept: always, read: (text) => whole(text, 1e6) },
};

/** What the next picture opens with. @param {import("./store.js").State} state */
export const keptOf = (state) => Object.fromEntries(Object.keys(FIELDS).filter((name) => FIELDS[name].kept?.(state[name])).map((name) => [name, state[name]]));
