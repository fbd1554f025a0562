// Two explorers side by side that look at the same things.

/** What is linked whatever the models are, and what needs the same token grid, depth or classes. */
const ALWAYS = ["station", "overlay", "opacity", "fusion", "alpha", "attentionView", "direction"];
const NEEDS = {
  token: (a, b) => a.rows === b.rows && a.columns === b.columns,
  held: (a, b) => a.rows === b.rows && a.columns === b.columns,
  layer: (a, b) => a.layers === b.layers,
  step: (a, b) => a.layers === b.layers,
  head: (a, b) => a.heads === b.heads,
  a: sameClasses,
  b: sameClasses,
};

function sameClasses(a, b) {
  return a.labels.length === b.labels.length && a.labels.every((label, i) => label === b.labels[i]);
}

/** Fields of the state that both can share. */
export const shared = (a, b) => [...ALWAYS, ...Object.keys(NEEDS).filter((name) => NEEDS[name](a, b))];

/** Make two explorers follow each other. @param {import("./main.js").Explorer[]} pair */
export function linkExplorers([one, two]) {
  const fields = shared(one.data, two.data);
  const overlays = [one, two].map(({ overlays }) => overlays);
  const follow = (from, to, known) => from.store.follow((state, before) => {
    if (!before) return;
    const patch = {};
    for (const name of fields) if (state[name] !== before[name]) patch[name] = state[name];
    if (patch.overlay !== undefined && !known.includes(patch.overlay)) delete patch.overlay; // the other model has no such map
    if (Object.keys(patch).length) to.store.set(patch);
  });
  follow(one, two, overlays[1]);
  follow(two, one, overlays[0]);
}
