import { expect, test } from "vitest";
import type { Trace } from "../model/trace.ts";
import { brightness, channelOf, shownChannels, variedChannels } from "./maps.ts";

const map = (channels: number[][]) => ({
  height: 1,
  width: 4,
  channels: channels.length,
  data: Float32Array.from({ length: 4 * channels.length }, (_, i) => {
    const cell = Math.floor(i / channels.length);
    return channels[i % channels.length]?.[cell] ?? 0;
  }),
});

test("a channel is every c-th number", () => {
  expect(
    Array.from(
      channelOf(
        map([
          [1, 2, 3, 4],
          [5, 6, 7, 8],
        ]),
        1,
      ),
    ),
  ).toEqual([5, 6, 7, 8]);
});

test("brightness goes from 0 to 1; an empty map is dark", () => {
  const shares = brightness([0, 2, 4]);
  expect([shares[0], shares[2]]).toEqual([0, 1]);
  expect(shares[1]).toBeGreaterThan(0.5);
  expect(Array.from(brightness([0, 0]))).toEqual([0, 0]);
  expect(brightness([-3, 1])[0]).toBe(0);
});

test("varied channels: the largest spread first, then what is least like it", () => {
  const channels = [
    [0, 9, 0, 9], // the largest spread
    [0, 8.9, 0, 8.9], // nearly the same, so it comes last
    [6, 6, 0, 0],
    [0, 0, 0, 0],
  ];
  expect(variedChannels(map(channels), 3)).toEqual([0, 2, 1]);
  expect(variedChannels(map(channels), 9)).toHaveLength(4);
});

test("a changed picture keeps the channels that it had", () => {
  const at = (first: number, geometry: object) =>
    ({
      featureMaps: [
        map([
          [0, 9, 0, 0],
          [0, first, 0, 0],
        ]),
      ],
      geometry,
    }) as unknown as Trace;
  const geometry = {};
  expect(shownChannels(at(1, geometry), 1)).toEqual([[0]]);
  expect(shownChannels(at(99, geometry), 1)).toEqual([[0]]);
  expect(shownChannels(at(99, geometry), 2)).toEqual([[1, 0]]);
  expect(shownChannels(at(99, {}), 1)).toEqual([[1]]);
});
