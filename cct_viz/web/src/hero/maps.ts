// Which feature maps are shown, and how bright their cells are.

import type { CropGeometry, FeatureMap, Trace } from "../model/trace.ts";

/** (h, w) one channel of a stage. */
export function channelOf(map: FeatureMap, channel: number): Float64Array {
  return Float64Array.from({ length: map.height * map.width }, (_, i) => map.data[i * map.channels + channel] ?? 0);
}

/** (h, w) 0 to 1 between the smaller of 0 and the least value, and the largest; all 0 for an empty map. */
export function brightness(values: ArrayLike<number>): Float64Array {
  let low = 0,
    high = 0;
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i] ?? 0);
    high = Math.max(high, values[i] ?? 0);
  }
  const range = high - low || 1;
  return Float64Array.from({ length: values.length }, (_, i) => (((values[i] ?? 0) - low) / range) ** 0.8);
}

function centred(values: Float64Array): { unit: Float64Array; spread: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length,
    shifted = values.map((value) => value - mean),
    spread = Math.sqrt(shifted.reduce((a, b) => a + b * b, 0));
  return { unit: spread ? shifted.map((value) => value / spread) : shifted, spread };
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);

/**
 * The `count` channels that vary most and are least alike: first the one with the largest spread, then each time the one
 * with the largest spread times 1 - |correlation| with the most similar channel already chosen.
 */
export function variedChannels(map: FeatureMap, count: number): number[] {
  const all = Array.from({ length: map.channels }, (_, c) => centred(channelOf(map, c))),
    likeness = new Float64Array(map.channels),
    chosen: number[] = [];
  while (chosen.length < Math.min(count, map.channels)) {
    let best = -1,
      value = -1;
    all.forEach(({ spread }, c) => {
      const worth = chosen.includes(c) ? -1 : spread * (1 - (likeness[c] ?? 0));
      if (worth > value) [best, value] = [c, worth];
    });
    chosen.push(best);
    const picked = all[best];
    all.forEach(({ unit }, c) => {
      if (picked) likeness[c] = Math.max(likeness[c] ?? 0, Math.abs(dot(unit, picked.unit)));
    });
  }
  return chosen;
}

const channelChoices = new WeakMap<CropGeometry, Map<number, number[][]>>();

/**
 * The channels of each stage that a drawing shows, `last` of the last stage and 3 of the others. A picture that is
 * changed keeps those that it had, so that one sees the change and not another choice.
 */
export function shownChannels({ featureMaps, geometry }: Trace, last: number): number[][] {
  const choices = channelChoices.get(geometry) ?? new Map<number, number[][]>(),
    end = featureMaps.length - 1,
    choice = choices.get(last) ?? featureMaps.map((map, stage) => variedChannels(map, stage === end ? last : 3));
  channelChoices.set(geometry, choices.set(last, choice));
  return choice;
}
