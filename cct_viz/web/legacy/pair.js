// Two explorers side by side that look at the same things.

import { FIELDS } from "./fields.js";

/** Make two explorers follow each other. @param {import("./main.js").Explorer[]} pair */
export function linkExplorers([one, two]) {
  const fields = Object.keys(FIELDS).filter((name) => FIELDS[name].shared?.(one.data, two.data));
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
