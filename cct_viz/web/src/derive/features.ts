/** The feature maps of a conv stage, as cct_viz/methods/features.py. */

import { descending } from "../core/maths.ts";
import type { FeatureMap } from "../model/trace.ts";

/** (height * width,): one channel of a feature map, row by row. */
export const channelMap = ({ data, channels, height, width }: FeatureMap, channel: number): Float32Array =>
  Float32Array.from({ length: height * width }, (_, cell) => data[cell * channels + channel]);

/** (channels,): the RMS activation of each channel. */
export function channelStrengths({ data, channels, height, width }: FeatureMap): Float64Array {
  const squares = new Float64Array(channels);
  data.forEach((value, i) => (squares[i % channels] += value * value));
  return squares.map((total) => Math.sqrt(total / (height * width)));
}

/** Channels, that with the largest RMS activation first. */
export const rankChannels = (map: FeatureMap): number[] => descending(channelStrengths(map));
