import { beforeEach, expect, it } from "vitest";
import type { Trace } from "../model/trace.ts";
import { Edits, isSamePass, UNCHANGED } from "./edits.svelte.ts";
import type { Session } from "./session.svelte.ts";

const OWN = Uint8Array.of(10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120); // 2 x 2
const STROKES = OWN.map((level) => level + 1);
let shown: (Uint8Array | null)[] = [];
let edits: Edits;

beforeEach(() => {
  shown = [];
  const untouched = { pixels: OWN, config: { imageSize: [2, 2] } } as unknown as Trace;
  const paint = (): Promise<void> => Promise.resolve(void shown.push(edits.pixels));
  edits = new Edits({ untouched, paint } as unknown as Session);
});

const draw = (pixels: Uint8Array): void => {
  edits.begin();
  edits.draw(pixels);
};

it("a stroke is a step back and forth, however long it is", () => {
  edits.begin();
  edits.draw(OWN);
  edits.draw(STROKES);
  edits.undo();
  expect(edits.pixels).toBeNull();
  edits.redo();
  edits.redo(); // there is no more
  expect(edits.pixels).toEqual(STROKES);
  expect(shown).toEqual([null, STROKES, null, STROKES]);
});

it("brightness and turn are of the strokes, and go into the next ones", () => {
  draw(STROKES);
  edits.begin();
  edits.adjust({ brightness: 2 });
  expect(Array.from(edits.pixels ?? []).slice(0, 3)).toEqual([22, 42, 62]);
  edits.begin();
  edits.adjust({ turn: 180 });
  expect(Array.from(edits.pixels ?? []).slice(9)).toEqual([22, 42, 62]);
  draw(edits.pixels ?? OWN);
  expect(edits.change).toMatchObject({ brightness: 1, turn: 0 });
  edits.undo();
  expect(edits.change).toMatchObject({ brightness: 2, turn: 180 });
});

it("back to the picture can be undone; with another picture all is forgotten", () => {
  draw(STROKES);
  edits.restore();
  expect(edits.pixels).toBeNull();
  edits.undo();
  expect(edits.pixels).toEqual(STROKES);
  edits.forget();
  edits.undo();
  edits.redo();
  expect(edits.pixels).toBeNull();
});

it("what is masked and pooled is of one model, and a stroke keeps it", () => {
  edits.begin();
  edits.adjust({ masked: new Set([1]), pooling: { kind: "mean" }, dropped: new Set([0]) });
  draw(STROKES);
  expect(edits.change).toMatchObject({ masked: new Set([1]), pooling: { kind: "mean" }, dropped: new Set([0]) });
  edits.forgetTokens();
  expect(edits.change).toEqual({ ...UNCHANGED, strokes: STROKES });
  expect(edits.steps).toEqual({ before: [UNCHANGED], after: [] }); // what only changed the pool is no step
  edits.undo();
  expect(edits.change).toEqual(UNCHANGED);
});

it("a change that cannot be shown goes back to the one that is", () => {
  draw(STROKES);
  const shownChange = edits.change;
  draw(OWN);
  edits.adjust({ pooling: { kind: "mean" } }); // needs no pass, so it is shown
  expect(isSamePass(edits.change, shownChange)).toBe(false);
  edits.giveUp(shownChange);
  expect(edits.pixels).toEqual(STROKES);
  expect(edits.change.pooling).toEqual({ kind: "mean" });
  expect(isSamePass(edits.change, shownChange)).toBe(true);
});
