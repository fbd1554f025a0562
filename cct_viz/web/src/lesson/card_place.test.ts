import { expect, it } from "vitest";
import { layout, type Stage } from "../hero/layout.ts";
import { spotExtent } from "../hero/stages.ts";
import { CARD, cardLeft, cardTop } from "./card_place.ts";

const SIZES = [
  [1376, 636],
  [1216, 456],
] as const;
const OPEN: readonly Stage[][] = [
  ["pixels"],
  ["pixels", "convolution"],
  ["attention"],
  ["pool", "evidence"],
  ["sum", "classes"],
  ["evidence", "sum", "classes"],
];

it.each(SIZES)("covers nothing of what the veil leaves open, at %i x %i", (width, height) => {
  for (const [tokens, layers] of [
    [64, 2],
    [256, 7],
  ]) {
    const side = Math.sqrt(tokens);
    const made = layout(width, height, tokens, layers, { rows: side, columns: side, stages: 2 });
    for (const stages of OPEN) {
      const spots = stages.map((stage) => ({ stage, layer: null })),
        left = cardLeft(made, spots);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left + CARD).toBeLessThanOrEqual(width);
      for (const spot of spots) {
        const { x0, x1 } = spotExtent(made, spot);
        expect(Math.min(x1, left + CARD) - Math.max(x0, left), `${stages.join()} at ${left}`).toBeLessThanOrEqual(0);
      }
    }
  }
});

it("rises where it would cover the equation, as far as the bar", () => {
  expect(cardTop(900, 480)).toBe(156);
  expect(cardTop(720, 480)).toBe(128);
  expect(cardTop(720, 640)).toBe(56);
});
