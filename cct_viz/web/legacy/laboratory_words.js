// The pooling laboratory in words: what was chosen, and what it changed.

import { argmax, sum } from "./maths.js";
import { poolingOf } from "./pooling.js";
import { percent, plural } from "./words.js";

const NAMES = {
  mean: "mean pooling", top: "the top token alone", shuffled: "shuffled weights", prior: "the position prior",
  painted: "painted weights",
};

/** 1.375 -> "β = 1.38", with the two values that have a name of their own. */
export const temperature = (beta) => `β = ${Number(beta.toFixed(2))}${beta === 1 ? ", the model" : beta === 0 ? ", the mean" : ""}`;

/** "mean pooling", "painted weights without 3 tokens", "the model's weights without 1 token" */
export function nameOf(data, state) {
  const name = nameOfPooling(data, state);
  return state.dropped.size ? `${name} without ${plural(state.dropped.size, "token")}` : name;
}

function nameOfPooling(data, state) {
  const pooling = poolingOf(data, state);
  if (pooling === "model") return "the model's weights";
  if (pooling !== "beta") return NAMES[pooling];
  return state.beta === 0 ? NAMES.mean : `inverse temperature ${temperature(state.beta)}`;
}

/** "With mean pooling deer falls from 59.0 % to 31.2 %, and bird wins." */
export function whatChanged({ data, derived }, state) {
  const before = data.probabilities, now = derived.probabilities(state), label = (c) => data.labels[c];
  const won = argmax(before), wins = argmax(now), { a } = state;
  const from = percent(before[a]), to = percent(now[a]);
  const moved = from === to ? `stays at ${to}` : `${now[a] > before[a] ? "rises" : "falls"} from ${from} to ${to}`;
  if (!data.exclusive) return derived.isModel(state) ? `These are the model's own weights: they give ${label(a)} ${from}.` : `${opening(data, state)} ${label(a)} ${moved}.`;
  if (derived.isModel(state)) {
    const winner = won === a ? "it wins" : `${label(won)} wins with ${percent(before[won])}`;
    return `These are the model's own weights: they give ${label(a)} ${percent(before[a])}, and ${winner}.`;
  }
  if (sum(derived.weights(state)) === 0) {
    return `No token has any weight. Only the bias of each class is left, and with that ${label(wins)} wins with ${percent(now[wins])}.`;
  }
  const still = wins === won ? "still wins" : "wins";
  return `${opening(data, state)} ${label(a)} ${moved}${wins === a ? ` and ${still}` : `, and ${label(wins)} ${still}`}.`;
}

function opening(data, state) {
  if (poolingOf(data, state) !== "model") return `With ${nameOf(data, state)}`;
  return `Without ${plural(state.dropped.size, "token")}`;
}
