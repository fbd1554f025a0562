// Between the stages of the drawing and the stations that open from them.

import type { Place } from "../core/state.svelte.ts";
import type { Stage } from "../hero/layout.ts";
import type { Spot } from "../hero/stages.ts";

const PLACES: Record<Stage, Place> = {
  pixels: "pixels",
  convolution: "convolution",
  attention: "attention",
  pool: "pool",
  evidence: "pool",
  sum: "classes",
  classes: "classes",
};
const STAGES: Partial<Record<Place, Stage>> = {
  pixels: "pixels",
  convolution: "convolution",
  tokens: "convolution",
  attention: "attention",
  pool: "pool",
  classes: "classes",
};

export const placeOfStage = (stage: Stage): Place => PLACES[stage];

/** The stage that a station unfolds from; null for a tool. */
export function stageOfPlace(place: Place, layer: number): Spot | null {
  const stage = STAGES[place];
  return stage ? { stage, layer: stage === "attention" ? layer : null } : null;
}
