// Attention as it is: every layer and head at once, one of them large, as a row and as a column of the chosen token.

import { PHOTO } from "./colour.js";
import { h, say, segments, select } from "./dom.js";
import { createLarge } from "./large.js";
import { argmax, effectiveTokens, maximum, mean } from "./maths.js";
import { createFusion } from "./mixing.js";
import { createMultiples, createScale } from "./multiples.js";
import { findPool } from "./pools.js";
import { percent, place, times } from "./words.js";

const WAYS = [["row", "Where it looks"], ["column", "Who looks at it"]];
const LIMITS = "Attention says from where a token takes, not what it takes: the values that are moved may be large or nothing.";
const FUSED_ONLY = (heads) => `This file holds one map for each layer, its ${heads} heads fused: single heads would make it too large.`;

/** @param {import("./main.js").Explorer} explorer */
export function createRaw(explorer) {
  const { data, store, derived } = explorer, { hasHeads } = data;
  const count = (n) => Array.from({ length: n }, (_, i) => i);
  const heads = hasHeads ? [...count(data.heads), null] : [null];
  const many = count(data.layers).flatMap((layer) => heads.map((head) => ({ layer, head })));
  const names = many.map(({ layer, head }) => `layer ${layer + 1}, ${head === null ? "all heads" : `head ${head + 1}`}`);
  const chosen = (state) => many.findIndex(({ layer, head }) => layer === state.layer && (head === state.head || !hasHeads));
  const numbered = (n) => count(n).map((i) => [i, `${i + 1}`]);

  const ways = segments("Which way", WAYS, (direction) => store.set({ direction }));
  const layer = select("Layer", numbered(data.layers), store.state.layer, (value) => store.set({ layer: value }));
  const head = select("Head", [...(hasHeads ? numbered(data.heads) : []), [-1, "all, fused"]], -1, (value) => store.set({ head: value < 0 ? null : value }));
  const fusion = createFusion(explorer), badge = explorer.badge(), scale = createScale(explorer);
  const sentence = h("p", { class: "sentence" }), reading = h("p", { class: "line reading" });
  const large = { row: createLarge(readable(), "Where it looks"), column: createLarge(readable(), "Who looks at it") };
  const nobody = h("p", { class: "note empty", style: `aspect-ratio: ${data.columns} / ${data.rows}` }, "Choose a token, and here stands who looks at it.");
  const pick = (i) => (hasHeads ? many[i] : { layer: many[i].layer });
  const table = { corner: "head", columns: heads.map((i) => (i === null ? "all" : `${i + 1}`)), rows: count(data.layers).map((i) => `layer ${i + 1}`) };
  const sheet = createMultiples({
    label: hasHeads ? "Attention of every layer and head" : "Attention of every layer", columns: data.columns, rows: data.rows, names,
    table: hasHeads ? table : null, captions: hasHeads ? null : many.map((one) => `layer ${one.layer + 1}`),
    choose: (i) => store.set(pick(i)), act: (i) => store.set({ ...pick(i), overlay: "attention" }),
  });
  const whole = `shares that sum to 100 %${data.first ? " with the class token's" : ""}`;
  let read = null;

  /** While a token is held, pointing at the large maps reads values instead of choosing another token. */
  function readable() {
    const reader = {
      get state() { return store.state; },
      set(patch) {
        const { held } = store.state, reads = held !== null && !("held" in patch) && "token" in patch;
        read = reads && patch.token !== held ? patch.token : null;
        if (reads) tell(store.state); else store.set(patch);
      },
    };
    return { data, store: reader };
  }

  const tell = (state) => say(reading, readInWords(explorer, state, read));

  function show(way, values, state, title) {
    const now = values.subarray(data.first), limit = maximum(now);
    large[way].show(now, limit, PHOTO, ["0", percent(limit)]);
    large[way].mark(state);
    large[way].say(title, `${names[chosen(state)]}, ${way === "row" ? whole : "each in shares of its own attention"}`);
  }

  return {
    title: "Attention: which token takes from which",
    element: h("div", {},
      h("div", { class: "row" }, layer.element, hasHeads ? head.element : null, fusion.element, badge.element), sentence,
      h("div", { class: "pair" }, large.row.element, h("div", {}, large.column.element, nobody)), reading,
      h("div", { class: "row head" }, h("h3", {}, hasHeads ? "Every layer and head" : "Every layer"), ways.element),
      hasHeads ? null : h("p", { class: "note" }, FUSED_ONLY(data.heads)),
      h("div", { class: hasHeads ? "scroll" : "steps" }, sheet.element), scale.element, h("p", { class: "note" }, LIMITS)),
    draw(state) {
      layer.set(state.layer);
      head.set(state.head ?? -1);
      fusion.set(state.fusion);
      fusion.element.hidden = hasHeads && state.head !== null;
      ways.set(state.direction);
      badge.show("rows sum to 1", data.rowError(state.layer, state.head));
      const all = many.map((one) => derived.seen(state, one.layer, one.head)), limits = all.map(maximum), largest = maximum(limits);
      all.forEach((values, i) => sheet.show(i, values, state.commonScale ? largest : limits[i], PHOTO));
      sheet.mark(chosen(state));
      scale.show(state, PHOTO, percent(largest));

      const row = derived.row(state), column = derived.column(state);
      show("row", row, state, `Where ${state.token === null ? "the readout" : "it"} looks`);
      large.column.element.hidden = column === null;
      nobody.hidden = column !== null;
      if (column) show("column", column, state, "Who looks at it");
      say(sentence, inWords(data, state, row, column));
      tell(state);
    },
  };
}

/** What the chosen row and column say, with the class token's part, which has no place on the grid. */
function inWords(data, state, row, column) {
  const at = (t) => place(t, data.columns), classToken = data.first === 1;
  const image = row.subarray(data.first), top = argmax(image), most = `most at ${at(top)} (${percent(image[top])})`;
  const spread = `Its look is spread like ${effectiveTokens(image).toFixed(1)} equal tokens of ${data.n}.`;
  if (!column) {
    if (classToken) return `The class token looks ${most}; ${percent(row[0])} stays with itself. ${spread}`;
    return `With no token chosen, this is the readout (${findPool(data.pool).reader}): each token's row counts as much as the token does. It looks ${most}. ${spread}`;
  }
  const asking = column.subarray(data.first), keenest = argmax(asking);
  const mine = `Token ${at(state.token)} looks ${most}${classToken ? `, and ${percent(row[0])} at the class token` : ""}. ${spread}`;
  const theirs = `${at(keenest)} (${percent(asking[keenest])}); the mean over the tokens is ${percent(mean(asking))}`;
  return `${mine} Most looked at from ${theirs}${classToken ? `, and the class token gives it ${percent(column[0])}` : ""}.`;
}

/** The value under the pointer and those at the pins, as row and as column. */
function readInWords({ data, derived }, state, read) {
  const row = derived.row(state), column = derived.column(state);
  if (!column) return "Click a token to keep it, and point at others to read what it takes from each.";
  const share = (token) => `${percent(row[token + data.first])} (${times(row[token + data.first], data.m)})`;
  const value = (token, name) => `${name} ${place(token, data.columns)}: it takes ${share(token)} from there and gives ${percent(column[token + data.first])}.`;
  const pinned = state.pinned.filter((token) => token !== state.token).map((token) => value(token, "Pinned"));
  if (read !== null) return [value(read, "At"), ...pinned].join(" ");
  const hint = state.held === null ? "Click to keep this token and read others." : "Point at another token to read its value, or pin this one.";
  return [`From itself it takes ${share(state.token)}.`, ...(pinned.length ? pinned : [hint])].join(" ");
}
