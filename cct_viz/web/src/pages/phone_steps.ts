// The steps of the phone: the stations in one strip, attention folded into one where there are many layers.

import type { Place } from "../core/state.svelte.ts";
import { find, t } from "../i18n/index.ts";
import type { Trace } from "../model/trace.ts";

const MOST_LAYERS = 2; // six steps fit side by side

export interface PhoneStep {
  readonly place: Place;
  /** Of an attention step; null where one step stands for all layers. */
  readonly layer: number | null;
  readonly name: string;
}

export function phoneSteps({ config }: Trace): PhoneStep[] {
  const single = config.numLayers > MOST_LAYERS;
  const attention = Array.from({ length: single ? 1 : config.numLayers }, (_, layer) => ({
    place: "attention" as const,
    layer: single ? null : layer,
    name: single ? t("place.attention") : t("phone.attention", { n: layer + 1 }),
  }));
  return [
    { place: "pixels", layer: null, name: t("place.pixels") },
    { place: "convolution", layer: null, name: t("phone.convolution") },
    ...(single ? [{ place: "tokens" as const, layer: null, name: t("place.tokens") }] : []),
    ...attention,
    { place: "pool", layer: null, name: find(`phone.pool.${config.pool}`) ?? t("place.pool") },
    { place: "classes", layer: null, name: t("place.classes") },
  ];
}

/** The index of the open step; the pool where nothing is open, null where a tool is. */
export function stepAt(steps: readonly PhoneStep[], place: Place | null, layer: number): number | null {
  const open =
    place === null
      ? "pool"
      : place === "tokens" && !steps.some((step) => step.place === "tokens")
        ? "convolution"
        : place;
  const at = steps.findIndex((step) => step.place === open && (step.layer === null || step.layer === layer));
  return at < 0 ? null : at;
}
