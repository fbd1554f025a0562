import { expect, test } from "vitest";
import { hit } from "./hit.ts";
import { layout } from "./layout.ts";
import { madeTrace } from "./made_trace.ts";
import { patchBoxes, tokenAt } from "./patches.ts";

const trace = madeTrace({ rows: 8, columns: 8 }),
  shares = Float64Array.from({ length: 64 }, (_, t) => (t === 20 ? 0.37 : 0.01)),
  made = layout(1376, 636, 64, 2, { rows: 8, columns: 8, stages: 2, shares }),
  find = tokenAt(patchBoxes(trace), 8, trace.config.imageSize),
  at = (x: number, y: number) => hit(made, find, x, y);

test("photo and pixels give the patch", () => {
  for (const box of [made.photo, made.pixels])
    expect(at((box?.x ?? 0) + 0.31 * 230, (box?.y ?? 0) + 0.44 * 230)).toEqual({ token: 3 * 8 + 2, part: "picture" });
});

test("maps give the cell, the front sheet of the deck along its slope", () => {
  const flats = made.flats[0];
  expect(at((flats?.x ?? 0) + 1, (flats?.tops[1] ?? 0) + 1)).toEqual({ token: 0, part: "maps" });
  const deck = made.deck;
  if (!deck) throw new Error("two stages have a deck");
  const front = deck.x + (deck.sheets - 1) * deck.step;
  expect(at(front + deck.width - 1, deck.y - deck.shear + deck.height - 2)?.token).toBe(63);
  expect(at(front + 1, deck.y + 2)?.token).toBe(0);
});

test("every token has its row in the columns and its segment in the pool", () => {
  const column = made.tokenColumns[1];
  for (let t = 0; t < 64; t++) {
    expect(at((column?.x ?? 0) + 2, made.ty(t) + made.pitch / 2)).toEqual({ token: t, part: "tokens" });
    const [y, height] = made.segment(t);
    expect(at((made.evidence?.x ?? 0) + 5, y + height / 2)).toEqual({ token: t, part: "pool" });
  }
});

test("what lies between or outside means no token", () => {
  expect(at(made.photo.width + 8, 300)).toBeNull();
  expect(at((made.evidence?.x ?? 0) + 5, made.bottom + 5)).toBeNull();
  expect(at((made.classes?.x ?? 0) + 20, 300)).toBeNull();
});

test("with a class token the columns reach to the pipe, and its own row means the first token", () => {
  const other = layout(1376, 636, 64, 2, { rows: 8, columns: 8, stages: 2, classToken: true });
  expect(hit(other, find, (other.tokenColumns[2]?.x ?? 0) + 2, other.ty(9) + 1)).toEqual({ token: 9, part: "tokens" });
  expect(hit(other, find, other.pool.x0 + 20, other.ty(9) + 1)).toEqual({ token: 9, part: "pool" });
  expect(hit(other, find, (other.tokenColumns[2]?.x ?? 0) + 2, other.rowY(0) + 1)?.token).toBe(0);
});
