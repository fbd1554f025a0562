import { describe, expect, it } from "vitest";
import { DEFAULTS, fromHash, isEntry, Selection, toHash, type Choices } from "./state.svelte.ts";

describe("the address", () => {
  it("names only what differs from the defaults", () => {
    expect(toHash(DEFAULTS)).toBe("");
    expect(toHash({ ...DEFAULTS, station: "attention", layer: 1, head: 0 })).toBe("station=attention&layer=1&head=0");
  });

  it("brings every choice back", () => {
    const choices: Choices = {
      ...DEFAULTS,
      model: "cct 2/3x2",
      picture: "chelsea",
      token: 36,
      target: 3,
      reference: 5,
      station: "pool",
      layer: 1,
      head: 0,
      key: 7,
      view: "rollout",
      fusion: "max",
      alpha: "measured",
      depth: 0,
      feature: { stage: 1, channel: 12 },
      step: 2,
      presenter: true,
      theme: "dark",
    };
    expect(fromHash(`#${toHash(choices)}`)).toEqual(choices);
  });

  it.each([
    "token=-1",
    "token=x",
    "station=kitchen",
    "alpha=2",
    "feature=1",
    "feature=1.2.3",
    "presenter=yes",
    "head=",
  ])("leaves out %s, which makes no sense", (hash) => {
    expect(fromHash(hash)).toEqual(DEFAULTS);
  });
});

describe("the history", () => {
  it("gets an entry for a station and none for a token", () => {
    expect(isEntry(DEFAULTS, { ...DEFAULTS, station: "pool" })).toBe(true);
    expect(isEntry(DEFAULTS, { ...DEFAULTS, token: 3 })).toBe(false);
  });
});

describe("a selection", () => {
  it("frees a token that is kept twice", () => {
    const selection = new Selection();
    selection.keep(4);
    expect(selection.token).toBe(4);
    selection.keep(4);
    expect(selection.token).toBeNull();
  });

  it("forgets with the picture what belongs to it", () => {
    const selection = new Selection();
    selection.set({ token: 4, target: 2, reference: 1, key: 3, station: "pool", layer: 1 });
    selection.hover = 9;
    selection.clearPicture();
    expect(selection.choices).toEqual({ ...DEFAULTS, station: "pool", layer: 1 });
    expect(selection.hover).toBeNull();
  });
});
