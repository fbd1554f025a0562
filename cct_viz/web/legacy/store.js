// One state, and drawings that follow it. A change redraws at most once a frame.

/**
 * @typedef {object} State what the visitor has chosen
 * @property {string} station the open panel
 * @property {number | null} token the token under the pointer or the keys, 0 to N - 1
 * @property {number | null} held the token that stays chosen when the pointer leaves
 * @property {{token: number} | null} touched the token that was last clicked, tapped or entered, new each time
 * @property {number[]} pinned up to two tokens kept for comparison
 * @property {number} layer @property {number | null} head null is all heads, fused
 * @property {number} a the class that is explained @property {number | null} b the class it is held against; null is the mean class
 * @property {string} overlay which map lies on the photo @property {number} opacity 0 to 1
 * @property {string} fusion "mean", "max" or "min" over heads @property {number | "measured"} alpha share of attention in rollout
 * @property {number} step rollout steps walked back from the pool
 * @property {{stage: number, channel: number}} feature the feature map that is looked at
 * @property {string} channelOrder "strength" or "number" @property {boolean} commonScale small maps share one scale, or each has its own
 * @property {string} attentionView "raw", "rollout" or "paths" @property {number} path of the paths picture
 * @property {string} direction "row" is where the chosen token looks, "column" who looks at it
 * @property {string} pooling "model", "beta", "mean", "top", "shuffled", "prior" or "painted"
 * @property {number} beta @property {number} seed of the shuffle @property {Float64Array | null} painted
 * @property {Set<number>} dropped tokens taken out of the pool @property {Set<number>} removed tokens that never reach the encoder
 * @property {import("./lesson.js").Lesson | null} lesson null is closed
 */

/** @param {State} initial */
export function createStore(initial) {
  let state = initial, drawn = null, asked = 0;
  const drawings = new Set();
  const measured = [];
  const redraw = () => {
    asked = 0;
    const before = drawn;
    drawn = state;
    const start = performance.now();
    for (const draw of drawings) draw(state, before);
    measured.push(performance.now() - start);
    if (measured.length > 200) measured.shift();
  };
  return {
    get state() { return state; },
    /** Milliseconds that the last 200 redraws took, script only. */
    measured,
    /** @param {Partial<State>} patch */
    set(patch) {
      if (Object.entries(patch).every(([name, value]) => state[name] === value)) return;
      state = { ...state, ...patch };
      asked ||= requestAnimationFrame(redraw);
    },
    /** @param {(state: State, before: State | null) => void} draw */
    follow(draw) { drawings.add(draw); },
    /** Draw now, not at the next frame. */
    flush() { cancelAnimationFrame(asked); redraw(); },
  };
}

/** Whether any of the named fields differ. */
export const changed = (state, before, ...names) => !before || names.some((name) => state[name] !== before[name]);
